package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

type object = map[string]any

// Writes the tar that containerd, docker and podman load: one layer, its configuration, a manifest, an
// index. All files belong to root and are of 1970, so that the same folder makes the same image.
func image(arguments []string) error {
	if len(arguments) != 4 {
		return errors.New("image OUT.tar NAME LAYER-ROOT CONFIG-JSON")
	}
	out, name, root := arguments[0], arguments[1], arguments[2]
	var settings object
	if err := json.Unmarshal([]byte(arguments[3]), &settings); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	layer, err := layerOf(root)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	zipper, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if _, err := zipper.Write(layer); err != nil {
		return err
	}
	if err := zipper.Close(); err != nil {
		return err
	}

	files := []file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	blob := func(kind string, content []byte) object {
		files = append(files, file{"blobs/sha256/" + digest(content), content})
		return object{
			"mediaType": "application/vnd.oci.image." + kind,
			"digest":    "sha256:" + digest(content), "size": len(content),
		}
	}
	platform := object{"architecture": runtime.GOARCH, "os": "linux"}
	layers := []object{blob("layer.v1.tar+gzip", packed.Bytes())}
	config := blob("config.v1+json", encoded(object{
		"architecture": runtime.GOARCH, "os": "linux", "config": settings,
		"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	}))
	manifest := blob("manifest.v1+json", encoded(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": layers,
	}))
	manifest["platform"] = platform
	manifest["annotations"] = object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	files = append(files, file{"index.json", encoded(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []object{manifest},
	})})
	return write(out, files)
}

type file struct {
	name    string
	content []byte
}

func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

func encoded(value object) []byte {
	text, _ := json.Marshal(value)
	return text
}

func write(out string, files []file) error {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, file := range files {
		header := &tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.content)), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			return err
		}
		if _, err := writer.Write(file.content); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, archive.Bytes(), 0o644)
}

// The folder as an uncompressed tar. Links are followed: their targets may be outside the folder.
func layerOf(root string) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		name := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		if err != nil || name == "" {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		*header = tar.Header{Name: name, Mode: header.Mode, Size: header.Size, Typeflag: header.Typeflag}
		if info.IsDir() {
			header.Name += "/"
		}
		if err := writer.WriteHeader(header); err != nil || info.IsDir() {
			return err
		}
		source, err := os.Open(path)
		if err != nil {
			return err
		}
		defer source.Close()
		_, err = io.Copy(writer, source)
		return err
	})
	if err != nil {
		return nil, err
	}
	return archive.Bytes(), writer.Close()
}
