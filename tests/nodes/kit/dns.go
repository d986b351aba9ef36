package main

import (
	"errors"
	"net"
	"os/exec"
	"regexp"

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
		answerFor(&message, clusterAddress(message.Questions[0].Name.String(), arguments[1:]))
		if packed, err := message.Pack(); err == nil {
			_, _ = socket.WriteTo(packed, client)
		}
	}
}

// Nothing if there is no such Service, or it has no address.
func clusterAddress(name string, kubectl []string) net.IP {
	parts := serviceName.FindStringSubmatch(name)
	if parts == nil {
		return nil
	}
	get := append(kubectl[1:len(kubectl):len(kubectl)],
		"--namespace", parts[2], "get", "service", parts[1], "--output=jsonpath={.spec.clusterIP}")
	address, err := exec.Command(kubectl[0], get...).Output()
	if err != nil {
		return nil
	}
	return net.ParseIP(string(address)).To4()
}

// Turns a query into its answer. A client that asks for IPv6 learns that there is none.
func answerFor(message *dnsmessage.Message, address net.IP) {
	question := message.Questions[0]
	message.Response, message.Authoritative = true, true
	message.Answers, message.Additionals = nil, nil
	if address == nil {
		message.RCode = dnsmessage.RCodeNameError
	} else if question.Type == dnsmessage.TypeA {
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 5},
			Body:   &dnsmessage.AResource{A: [4]byte(address)},
		}}
	}
}
