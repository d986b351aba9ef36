// Command holder holds a Lease with client-go's own leader election and prints what happens, one JSON object a line:
// what ours is measured against.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// An event of the election, at the wall clock's microseconds.
type event struct {
	At     int64   `json:"at"`
	Event  string  `json:"event"`
	ID     string  `json:"id"`
	Leader *string `json:"leader,omitempty"`
}

// The work that leadership guards: all it does is to say when it starts and stops. It stops once, whoever asks first.
type work struct {
	sync.Mutex
	id             string
	running, ended bool
}

func (w *work) print(name string, leader *string) {
	line, err := json.Marshal(event{At: time.Now().UnixMicro(), Event: name, ID: w.id, Leader: leader})
	if err != nil {
		klog.Fatal(err)
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		klog.Fatal(err)
	}
}

// client-go starts it in the background: it may come after the end.
func (w *work) start() {
	w.Lock()
	defer w.Unlock()
	if w.ended {
		return
	}
	w.running = true
	w.print("started", nil)
}

func (w *work) stop() {
	w.Lock()
	defer w.Unlock()
	if w.running {
		w.print("stopped", nil)
	}
	w.running, w.ended = false, true
}

func (w *work) newLeader(leader string) {
	w.Lock()
	defer w.Unlock()
	w.print("new leader", &leader)
}

func main() {
	name := flag.String("lease-name", "", "name of the Lease")
	namespace := flag.String("lease-namespace", "default", "namespace of the Lease")
	id := flag.String("id", "", "identity to hold it as")
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig file")
	leaseDuration := flag.Duration("lease-duration", 15*time.Second, "lease duration")
	renewDeadline := flag.Duration("renew-deadline", 10*time.Second, "renew deadline")
	retryPeriod := flag.Duration("retry-period", 2*time.Second, "retry period")
	release := flag.Bool("release-on-cancel", false, "release the Lease at SIGTERM")
	flag.Parse()
	if *name == "" || *id == "" {
		klog.Fatal("--lease-name and --id are required")
	}

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	work := &work{id: *id}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-terminate
		// client-go releases first and cancels the work afterwards: who wants no overlap ends the work before.
		work.stop()
		cancel()
	}()

	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: *name, Namespace: *namespace},
			Client:     kubernetes.NewForConfigOrDie(config).CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: *id},
		},
		ReleaseOnCancel: *release,
		LeaseDuration:   *leaseDuration,
		RenewDeadline:   *renewDeadline,
		RetryPeriod:     *retryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { work.start() },
			OnStoppedLeading: work.stop,
			OnNewLeader:      work.newLeader,
		},
	})
}
