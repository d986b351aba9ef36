#!/bin/bash
# Makes the certificates of tests/elect/tls.rs anew: two authorities, each with a server and a client. They are valid for a
# century, and no key of an authority is kept. The keys here protect nothing.
set -euo pipefail
cd "$(dirname "$0")"
for authority in first second; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=$authority" \
		-addext keyUsage=critical,keyCertSign -keyout ca.key -out "$authority-ca.pem"
	for side in server client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$authority-$side" \
			-addext subjectAltName=IP:127.0.0.1 -addext "extendedKeyUsage=${side}Auth" \
			-keyout "$authority-$side.key" -out request.pem
		openssl x509 -req -in request.pem -CA "$authority-ca.pem" -CAkey ca.key -days 36500 -copy_extensions copy \
			-out "$authority-$side.pem"
	done
done
rm ca.key request.pem
