# The image of examples/postgres.yaml: PostgreSQL, election-operator, and the scripts of examples/postgres.
#
#     docker build --file examples/postgres.Dockerfile --tag registry.example.com/postgres:0.1.0 examples/postgres
FROM docker.io/library/postgres:15-bookworm
COPY --from=registry.example.com/election-operator:0.1.0 /election-operator /election-operator
COPY *.sh /postgres/
USER 999:999
