#!/usr/bin/env python3
"""Prints the notices of the program: the licences of all that is linked into it, in full.

Each text stands once, under the names of those that it is of. A crate whose source has no licence
file is refused, unless its licence is that of this project. The same Cargo.lock and toolchain give
the same bytes.
"""

import collections
import html
import os
import re
import subprocess
import sys

import sbom

LICENCE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
SOURCE = re.compile(r"\.(rs|toml|py|sh|html)$")
RULE = "=" * 80


def read(path):
    with open(path, encoding="utf-8") as file:
        return "\n".join(line.rstrip() for line in file.read().strip().splitlines())


def files_of(package):
    """The licence files of a crate's source: beside its manifest, and in a folder of them."""
    folder = os.path.dirname(package["manifest_path"])
    named = [package["license_file"]] if package["license_file"] else []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if LICENCE.match(name) and os.path.isdir(path):
            named += [os.path.join(name, inner) for inner in sorted(os.listdir(path))]
        elif LICENCE.match(name) and not SOURCE.search(name):
            named.append(name)
    paths = [os.path.join(folder, name) for name in dict.fromkeys(named)]
    return [path for path in paths if os.path.isfile(path)]


def of_the_standard_library():
    """What the toolchain says of the standard library and the crates in it, without the markup."""
    command = ["rustc", "--print=sysroot"]
    sysroot = subprocess.run(command, cwd=sbom.ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    page = read(os.path.join(sysroot.strip(), "share", "doc", "rust", "COPYRIGHT-library.html"))
    text = html.unescape(re.sub(r"<[^>]*>", "", page.split("<body>", 1)[1]))
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def notices():
    """Each text with the crates that it is of: the longest list first, then by name."""
    tree = sbom.metadata()
    packages = {package["id"]: package for package in tree["packages"]}
    texts, silent = collections.defaultdict(set), []
    for identity in sbom.linked(tree["resolve"], packages):
        package = packages[identity]
        if not package["source"]:
            continue
        name = f"{package['name']} {package['version']}"
        found = [read(path) for path in files_of(package)]
        if not found and package["license"] == "Apache-2.0":
            # It asks for a copy of the licence, and for no notice of its own.
            found = [read(os.path.join(sbom.ROOT, "LICENSE"))]
        for text in found:
            texts[text].add(name)
        silent += [] if found else [f"{name} ({package['license']})"]
    if silent:
        sys.exit(f"release: no licence file in {', '.join(silent)}: its text must come from elsewhere")
    return sorted(((sorted(names), text) for text, names in texts.items()), key=lambda one: (-len(one[0]), one))


def main():
    print("election-operator is licensed under Apache-2.0. Linked into it are the following works.")
    parts = notices()
    parts.append((["the Rust standard library"], of_the_standard_library()))
    parts.append((["musl"], read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "musl-COPYRIGHT"))))
    for names, text in parts:
        print(f"\n{RULE}\n{', '.join(names)}\n{RULE}\n\n{text}")


if __name__ == "__main__":
    main()
