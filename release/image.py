#!/usr/bin/env python3
"""Packs folders as an OCI image of one or several platforms, without a container engine.

    image.py OUT.tar NAME:TAG PLATFORM=FOLDER… [--user UID:GID] [--entrypoint PATH] [--cmd WORD…]
             [--label KEY=VALUE…]

OUT.tar is an OCI image layout with one index of all platforms. The content of a folder becomes the one
layer of its platform. The same content gives the same bytes: entries are sorted, belong to root, and are
dated SOURCE_DATE_EPOCH (0 without it). The digest of the index is printed.
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import stat
import tarfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
OCI = "application/vnd.oci.image"


def entry(name, size=0, mode=0o644, kind=tarfile.REGTYPE):
    """The head of a file in a tar. Owner and group are 0, without names."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.mtime = size, mode, kind, EPOCH
    return info


def tar_of(folder):
    """The content of a folder as a tar, in the order of names. Links are followed."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for parent, folders, files in os.walk(folder):
            folders.sort()
            inside = os.path.relpath(parent, folder)
            if inside != ".":
                tar.addfile(entry(inside, mode=0o755, kind=tarfile.DIRTYPE))
            for file in sorted(files):
                path = os.path.join(parent, file)
                mode = 0o755 if os.stat(path).st_mode & stat.S_IXUSR else 0o644
                with open(path, "rb") as content:
                    name = os.path.normpath(os.path.join(inside, file))
                    tar.addfile(entry(name, os.path.getsize(path), mode), content)
    return packed.getvalue()


def zipped(content):
    """Compressed, without a name and a time. gzip.compress() writes other heads in other versions."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Layout:
    """The files of an OCI image layout."""

    def __init__(self):
        self.files = {"oci-layout": as_json({"imageLayoutVersion": "1.0.0"})}

    def add(self, media_type, content, **fields):
        """Adds a blob; returns its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = content
        told = {"mediaType": f"{OCI}.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}
        return {**told, **fields}

    def add_platform(self, platform, folder, config):
        """Adds the image of one platform; returns the descriptor of its manifest."""
        system, architecture = platform.split("/")
        content = tar_of(folder)
        created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc)
        image = {
            "architecture": architecture,
            "os": system,
            "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": self.add("config.v1+json", as_json(image)),
            "layers": [self.add("layer.v1.tar+gzip", zipped(content))],
        }
        target = {"architecture": architecture, "os": system}
        return self.add("manifest.v1+json", as_json(manifest), platform=target)

    def write(self, out, name, manifests):
        """Writes the layout as a tar; returns the digest of the index of all platforms."""
        # The first annotation is for containerd and docker, the second for skopeo and podman.
        annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
        index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
        whole = self.add("index.v1+json", as_json(index), annotations=annotations)
        self.files["index.json"] = as_json({**index, "manifests": [whole]})
        with tarfile.open(out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in sorted(self.files):
                tar.addfile(entry(path, len(self.files[path])), io.BytesIO(self.files[path]))
        return whole["digest"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("platforms", nargs="+", metavar="PLATFORM=FOLDER")
    parser.add_argument("--user")
    parser.add_argument("--entrypoint", nargs=1)
    parser.add_argument("--cmd", nargs="+")
    parser.add_argument("--label", nargs="+", default=[])
    arguments = parser.parse_args()
    config = {"User": arguments.user, "Entrypoint": arguments.entrypoint, "Cmd": arguments.cmd}
    config["Labels"] = dict(label.split("=", 1) for label in arguments.label)
    config = {key: value for key, value in config.items() if value}
    layout = Layout()
    platforms = (platform.split("=", 1) for platform in arguments.platforms)
    manifests = [layout.add_platform(platform, folder, config) for platform, folder in platforms]
    print(layout.write(arguments.out, arguments.name, manifests))


if __name__ == "__main__":
    main()
