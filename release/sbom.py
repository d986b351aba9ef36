#!/usr/bin/env python3
"""Prints the SBOM of the program (CycloneDX 1.6, JSON): the crates that are linked into it.

It has no time, no random number and no name of a folder: the same Cargo.lock gives the same bytes.
(cargo-cyclonedx names the folder of the build, and writes into the source tree.)
"""

import json
import os
import subprocess
import sys
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGETS = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def metadata():
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    command += [f"--filter-platform={target}" for target in TARGETS]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def runs_in_the_compiler(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def linked(resolve, packages):
    """What the program is made of: package → what that needs. Not what builds or tests it."""
    nodes = {node["id"]: node for node in resolve["nodes"]}
    graph, todo = {}, [resolve["root"]]
    while todo:
        package = todo.pop()
        if package in graph:
            continue
        every = nodes[package]["deps"]
        needs = [need["pkg"] for need in every if any(not kind["kind"] for kind in need["dep_kinds"])]
        graph[package] = sorted(need for need in needs if not runs_in_the_compiler(packages[need]))
        todo += graph[package]
    return graph


def checksums():
    """The checksums of Cargo.lock, by name and version."""
    with open(os.path.join(ROOT, "Cargo.lock"), "rb") as lock:
        packages = tomllib.load(lock)["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licence(expression):
    # Old crates write MIT/Apache-2.0, which is no SPDX expression.
    return [{"expression": " OR ".join(part.strip() for part in expression.split("/"))}]


def component(package, checksum):
    told = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "description": package["description"] and " ".join(package["description"].split()),
        "licenses": package["license"] and licence(package["license"]),
        "hashes": checksum and [{"alg": "SHA-256", "content": checksum}],
        # A package URL is of crates.io: the crates of this repository are not there.
        "purl": reference(package) if package["source"] == CRATES_IO else None,
        "externalReferences": package["repository"] and [{"type": "vcs", "url": package["repository"]}],
    }
    return {key: value for key, value in told.items() if value}


def main():
    tree = metadata()
    packages = {package["id"]: package for package in tree["packages"]}
    graph, hashes = linked(tree["resolve"], packages), checksums()
    components = {}
    for identity in graph:
        package = packages[identity]
        components[identity] = component(package, hashes[package["name"], package["version"]])
    root = tree["resolve"]["root"]
    program = {**components.pop(root), "type": "application"}
    named = {package: reference(packages[package]) for package in graph}
    dependencies = [
        {"ref": named[package], "dependsOn": sorted(named[need] for need in needs)}
        for package, needs in graph.items()
    ]
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": program},
        "components": sorted(components.values(), key=lambda one: one["bom-ref"]),
        "dependencies": sorted(dependencies, key=lambda one: one["ref"]),
    }
    json.dump(bom, sys.stdout, indent=2, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
