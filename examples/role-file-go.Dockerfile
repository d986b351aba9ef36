# The image of examples/role-file-go.yaml:
#
#     docker build --file examples/role-file-go.Dockerfile --tag registry.example.com/reports-go:0.1.0 examples/role-file
FROM docker.io/library/golang:1.26 AS build
COPY main.go /build/
RUN CGO_ENABLED=0 go build -trimpath -o /build/reports /build/main.go

FROM scratch
COPY --from=build /build/reports /reports
ENTRYPOINT ["/reports"]
