# The image of examples/nominated.yaml: a program, and election-operator beside it. The binary is static: any image takes it.
FROM registry.k8s.io/e2e-test-images/agnhost:2.53
COPY --from=registry.example.com/election-operator:0.1.0 /election-operator /election-operator
ENTRYPOINT ["/election-operator", "elect", "--nominated"]
