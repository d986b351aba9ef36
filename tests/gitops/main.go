// What GitOps tools make of ElectionGroups: kstatus (Flux, Helm 4, kpt), the health check and the actions of
// Argo CD, the expressions of Flux. It reads a JSON list of objects, and prints a JSON list of what each tool says.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/cel-go/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

type verdict struct {
	Kstatus string            `json:"kstatus"`
	Argo    string            `json:"argo"`
	Flux    string            `json:"flux"`
	Actions map[string]change `json:"actions"`
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(healthLua, actionsYAML, fluxYAML string) error {
	var objects []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return err
	}
	expressions, err := readExpressions(fluxYAML)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(healthLua)
	if err != nil {
		return err
	}
	offered, err := readActions(actionsYAML)
	if err != nil {
		return err
	}
	verdicts := []verdict{}
	for _, text := range objects {
		// It keeps integers as such, which kstatus insists on.
		var decoded unstructured.Unstructured
		if err := decoded.UnmarshalJSON(text); err != nil {
			return err
		}
		object := decoded.Object
		result, err := status.Compute(&decoded)
		if err != nil {
			return fmt.Errorf("kstatus: %w", err)
		}
		argo, err := argoHealth(string(script), object)
		if err != nil {
			return fmt.Errorf("argo: %w", err)
		}
		flux, err := expressions.evaluate(object)
		if err != nil {
			return fmt.Errorf("flux: %w", err)
		}
		changes, err := offered.take(object)
		if err != nil {
			return fmt.Errorf("actions: %w", err)
		}
		verdicts = append(verdicts, verdict{string(result.Status), argo, flux, changes})
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func argoHealth(script string, object map[string]any) (string, error) {
	health, err := answer(script, object)
	if err != nil {
		return "", err
	}
	if health.RawGetString("message").Type() != lua.LTString {
		return "", fmt.Errorf("there is no message")
	}
	return health.RawGetString("status").String(), nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	default:
		return lua.LNil
	}
}

type expressions struct {
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

func readExpressions(path string) (*expressions, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []expressions `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return nil, err
	}
	if len(kustomization.Spec.HealthCheckExprs) != 1 {
		return nil, fmt.Errorf("%s has not one entry of healthCheckExprs", path)
	}
	return &kustomization.Spec.HealthCheckExprs[0], nil
}

// evaluate asks in the order of Flux: in progress, failed, current.
func (e *expressions) evaluate(object map[string]any) (string, error) {
	for _, question := range [][2]string{{"InProgress", e.InProgress}, {"Failed", e.Failed}, {"Current", e.Current}} {
		holds, err := evaluate(question[1], object)
		if err != nil {
			return "", fmt.Errorf("%s: %w", question[0], err)
		}
		if holds {
			return question[0], nil
		}
	}
	return "InProgress", nil
}

func evaluate(expression string, object map[string]any) (bool, error) {
	options, input := []cel.EnvOption{}, map[string]any{}
	for _, name := range []string{"metadata", "spec", "status"} {
		options = append(options, cel.Variable(name, cel.DynType))
		input[name] = object[name]
	}
	environment, err := cel.NewEnv(options...)
	if err != nil {
		return false, err
	}
	syntax, issues := environment.Compile(expression)
	if issues.Err() != nil {
		return false, issues.Err()
	}
	program, err := environment.Program(syntax)
	if err != nil {
		return false, err
	}
	value, _, err := program.Eval(input)
	if err != nil {
		return false, err
	}
	holds, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("%s is not a truth value", expression)
	}
	return holds, nil
}
