//! An OCI image layout as files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{json, run};

/// The image of one platform.
pub(crate) struct Image {
    pub(crate) architecture: String,
    pub(crate) config: Value,
    /// All that a node pulls.
    pub(crate) bytes: u64,
    layer: PathBuf,
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

/// Unpacks a layout. Gives back its index and that of the images.
pub(crate) fn unpack(tar: &Path, layout: &Path) -> (Value, Value) {
    std::fs::create_dir_all(layout).unwrap();
    run(Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(layout));
    let outer = json(&layout.join("index.json"));
    let images = json(&blob(layout, &outer["manifests"][0]));
    (outer, images)
}

/// The images of an index, by architecture.
pub(crate) fn images(layout: &Path, index: &Value) -> Vec<Image> {
    let read = |descriptor: &Value| {
        assert_eq!(descriptor["platform"]["os"], "linux");
        let manifest = json(&blob(layout, descriptor));
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1, "one layer");
        Image {
            architecture: descriptor["platform"]["architecture"].as_str().unwrap().to_owned(),
            config: json(&blob(layout, &manifest["config"])),
            bytes: layers[0]["size"].as_u64().unwrap() + manifest["config"]["size"].as_u64().unwrap(),
            layer: blob(layout, &layers[0]),
        }
    };
    index["manifests"].as_array().unwrap().iter().map(read).collect()
}

impl Image {
    /// The files of the layer as tar lists them: mode, owner, and name.
    pub(crate) fn files(&self) -> Vec<(String, String, String)> {
        let listed = run(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(&self.layer));
        let fields = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            (fields[0].clone(), fields[1].clone(), fields.last().unwrap().clone())
        };
        listed.lines().map(fields).collect()
    }

    /// Unpacks the layer, and gives back where the program is.
    pub(crate) fn program(&self, folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        run(Command::new("tar").arg("-xzf").arg(&self.layer).arg("-C").arg(folder));
        let entry = self.config["config"]["Entrypoint"][0].as_str().unwrap();
        folder.join(entry.trim_start_matches('/'))
    }
}
