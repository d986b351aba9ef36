package main

import (
	"errors"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// The one kind of name that is known: a Service's. Its two parts are safe as arguments of a command.
var serviceName = regexp.MustCompile(`^([a-z0-9][-a-z0-9]*)\.([a-z0-9][-a-z0-9]*)\.svc\.cluster\.local\.$`)

// Answers for the names of Services, as the DNS of a cluster does. It asks the API server each time.
func dns(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("dns ADDRESS KUBECTL…")
	}
	socket, err := net.ListenPacket("udp", arguments[0])
	if err != nil {
		return err
	}
	packet := make([]byte, 512)
	for {
		size, client, err := socket.ReadFrom(packet)
		if err != nil {
			return err
		}
		var message dnsmessage.Message
		if message.Unpack(packet[:size]) != nil || len(message.Questions) != 1 {
			continue
		}
		answerFor(&message, addressesOf(message.Questions[0].Name.String(), arguments[1:]))
		if packed, err := message.Pack(); err == nil {
			_, _ = socket.WriteTo(packed, client)
		}
	}
}

// The cluster address of a Service, or those of a headless one's ready pods. Nothing if there is no such Service.
func addressesOf(name string, kubectl []string) []string {
	parts := serviceName.FindStringSubmatch(name)
	if parts == nil {
		return nil
	}
	read := func(what ...string) []string {
		arguments := append(kubectl[1:len(kubectl):len(kubectl)], "--namespace", parts[2], "get")
		answer, err := exec.Command(kubectl[0], append(arguments, what...)...).Output()
		if err != nil {
			return nil
		}
		return strings.Fields(string(answer))
	}
	address := read("service", parts[1], "--output=jsonpath={.spec.clusterIP}")
	if !slices.Equal(address, []string{"None"}) {
		return address
	}
	return read("endpointslices", "--selector=kubernetes.io/service-name="+parts[1],
		"--output=jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}")
}

// Answers a query. A client that asks for IPv6 learns that there is none.
func answerFor(message *dnsmessage.Message, addresses []string) {
	question := message.Questions[0]
	message.Response, message.Authoritative = true, true
	message.Answers, message.Additionals = nil, nil
	if len(addresses) == 0 {
		message.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range addresses {
		ip := net.ParseIP(address).To4()
		if ip == nil || question.Type != dnsmessage.TypeA {
			continue
		}
		message.Answers = append(message.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 5},
			Body:   &dnsmessage.AResource{A: [4]byte(ip)},
		})
	}
}
