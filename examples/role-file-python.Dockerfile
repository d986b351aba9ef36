# The image of examples/role-file-python.yaml:
#
#     docker build --file examples/role-file-python.Dockerfile --tag registry.example.com/reports-python:0.1.0 examples/role-file
FROM docker.io/library/python:3.11-slim-bookworm
COPY main.py /reports.py
ENTRYPOINT ["python3", "/reports.py"]
