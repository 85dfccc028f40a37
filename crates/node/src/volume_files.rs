//! Volumes that are files: config maps, secrets, fields and tokens (`configMap`, `secret`, `downwardAPI`, `projected`).
//!
//! Owns what files such a volume has, as a pure function, and how they come to a folder: all at once, by a link that is
//! switched, so that a container never sees half of a change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Component, Path};

use pierhead_api::core::{ConfigMap, DownwardApiFile, KeyToPath, Pod, Secret, Volume};

use crate::fields::{self, FieldError, Place};
use crate::sources::{Sources, token_key};

const DEFAULT_MODE: i32 = 0o644;
/// The link whose target is the folder with the present files.
const CURRENT: &str = "..data";

/// A volume that cannot be made; the pod waits for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error("configmap {name:?} not found")]
    NoConfigMap { name: String },
    #[error("secret {name:?} not found")]
    NoSecret { name: String },
    #[error("references non-existent {kind} key: {key}")]
    NoKey { kind: &'static str, key: String },
    #[error("the path {path:?} does not stay within the volume")]
    Path { path: String },
    #[error("this node has no volumes of its kind")]
    Unsupported,
    #[error("hostPath volumes are not allowed on this node")]
    HostPath,
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeFile {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
}

/// The files of a volume by their paths in it.
pub(crate) type VolumeFiles = BTreeMap<String, VolumeFile>;

/// The files of a volume; none if it is not made of files.
pub(crate) fn files_of(
    pod: &Pod,
    volume: &Volume,
    sources: &Sources,
    place: &Place,
) -> Result<Option<VolumeFiles>, VolumeError> {
    let mut files = Files { made: VolumeFiles::new(), mode: DEFAULT_MODE };
    let optional = |flag: Option<bool>| flag == Some(true);
    if let Some(source) = &volume.secret {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.add_secret(&source.secret_name, &source.items, optional(source.optional), sources)?;
    } else if let Some(source) = &volume.config_map {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.add_config_map(&source.name, &source.items, optional(source.optional), sources)?;
    } else if let Some(source) = &volume.downward_api {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.add_fields(pod, &source.items, place)?;
    } else if let Some(projected) = &volume.projected {
        files.mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        for source in &projected.sources {
            if let Some(object) = &source.secret {
                files.add_secret(&object.name, &object.items, optional(object.optional), sources)?;
            }
            if let Some(object) = &source.config_map {
                files.add_config_map(&object.name, &object.items, optional(object.optional), sources)?;
            }
            if let Some(fields) = &source.downward_api {
                files.add_fields(pod, &fields.items, place)?;
            }
            if let Some(token) = &source.service_account_token {
                let kept = sources.tokens.get(&token_key(token));
                let value = kept.map(|kept| kept.value.expose().clone()).unwrap_or_default();
                files.add(&token.path, value.into_bytes(), None)?;
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files.made))
}

struct Files {
    made: VolumeFiles,
    mode: i32,
}

impl Files {
    fn add(&mut self, path: &str, content: Vec<u8>, mode: Option<i32>) -> Result<(), VolumeError> {
        let components: Vec<Component<'_>> = Path::new(path).components().collect();
        let stays = components.iter().all(|part| matches!(part, Component::Normal(_)));
        if components.is_empty() || !stays || path.starts_with("..") {
            return Err(VolumeError::Path { path: path.to_owned() });
        }
        let mode = u32::try_from(mode.unwrap_or(self.mode)).unwrap_or_default() & 0o7777;
        self.made.insert(path.to_owned(), VolumeFile { content, mode });
        Ok(())
    }

    fn add_secret(
        &mut self,
        name: &str,
        items: &[KeyToPath],
        optional: bool,
        sources: &Sources,
    ) -> Result<(), VolumeError> {
        match sources.secrets.get(name) {
            Some(Secret { data, .. }) => {
                let values = data.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
                self.add_values("secret", &values.collect(), items, optional)
            }
            None if optional => Ok(()),
            None => Err(VolumeError::NoSecret { name: name.to_owned() }),
        }
    }

    fn add_config_map(
        &mut self,
        name: &str,
        items: &[KeyToPath],
        optional: bool,
        sources: &Sources,
    ) -> Result<(), VolumeError> {
        match sources.config_maps.get(name) {
            Some(ConfigMap { data, binary_data, .. }) => {
                let texts = data.iter().map(|(key, value)| (key.as_str(), value.as_bytes()));
                let bytes = binary_data.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
                self.add_values("config", &texts.chain(bytes).collect(), items, optional)
            }
            None if optional => Ok(()),
            None => Err(VolumeError::NoConfigMap { name: name.to_owned() }),
        }
    }

    fn add_values(
        &mut self,
        kind: &'static str,
        values: &BTreeMap<&str, &[u8]>,
        items: &[KeyToPath],
        optional: bool,
    ) -> Result<(), VolumeError> {
        if items.is_empty() {
            for (key, value) in values {
                self.add(key, value.to_vec(), None)?;
            }
        }
        for item in items {
            match values.get(item.key.as_str()) {
                Some(value) => self.add(&item.path, value.to_vec(), item.mode)?,
                None if optional => {}
                None => return Err(VolumeError::NoKey { kind, key: item.key.clone() }),
            }
        }
        Ok(())
    }

    fn add_fields(&mut self, pod: &Pod, items: &[DownwardApiFile], place: &Place) -> Result<(), VolumeError> {
        for item in items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => fields::pod_field(pod, &field.field_path, place)?,
                (None, Some(selector)) => fields::resource_field(pod, None, selector, place)?,
                (None, None) => String::new(),
            };
            self.add(&item.path, value.into_bytes(), item.mode)?;
        }
        Ok(())
    }
}

/// Brings a folder to hold these files and no others, and ends what an earlier write was cut off from. Blocking.
pub(crate) fn write(folder: &Path, files: &VolumeFiles, group: Option<u32>) -> io::Result<()> {
    let files = with_group(files, group);
    if present(folder).ok().as_ref() != Some(&files) {
        switch(folder, &files, group)?;
    }
    link_names(folder, &files)?;
    remove_others(folder)
}

/// Files that belong to a group can be read by it.
fn with_group(files: &VolumeFiles, group: Option<u32>) -> VolumeFiles {
    let readable = if group.is_some() { 0o440 } else { 0 };
    let file = |file: &VolumeFile| VolumeFile { content: file.content.clone(), mode: file.mode | readable };
    files.iter().map(|(path, kept)| (path.clone(), file(kept))).collect()
}

/// The files a folder holds now.
fn present(folder: &Path) -> io::Result<VolumeFiles> {
    let mut files = VolumeFiles::new();
    let root = folder.join(CURRENT);
    let mut folders = vec![root.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            let metadata = fs::metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(&root) {
                let mode = metadata.permissions().mode() & 0o7777;
                let name = name.to_string_lossy().into_owned();
                files.insert(name, VolumeFile { content: fs::read(&path)?, mode });
            }
        }
    }
    Ok(files)
}

/// Writes the files to a folder of their own, and makes that one the present.
fn switch(folder: &Path, files: &VolumeFiles, group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let version = (0_u64..)
        .map(|number| format!("..{number}"))
        .find(|name| !folder.join(name).exists())
        .ok_or_else(|| io::Error::other("no name is free"))?;
    let root = folder.join(&version);
    fs::create_dir(&root)?;
    for (path, file) in files {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.content)?;
        if group.is_some() {
            chown(&path, None, group)?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    }
    let link = folder.join("..data_new");
    remove_link(&link)?;
    symlink(&version, &link)?;
    fs::rename(&link, folder.join(CURRENT))
}

/// Removes folders with files that are not the present ones, whoever left them.
fn remove_others(folder: &Path) -> io::Result<()> {
    let current = fs::read_link(folder.join(CURRENT))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() && name != current.as_os_str() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a link for each name at the top of the volume, and removes those whose file is gone.
fn link_names(folder: &Path, files: &VolumeFiles) -> io::Result<()> {
    let top = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    let names: std::collections::BTreeSet<String> = files.keys().map(top).collect();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(&name) {
            remove_link(&folder.join(name))?;
        }
    }
    for name in names {
        let link = folder.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(CURRENT).join(&name), link)?;
        }
    }
    Ok(())
}

fn remove_link(link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use jiff::Timestamp;
    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{VolumeFiles, files_of, write};
    use crate::fields::Place;
    use crate::sources::{Sources, Token, Wanted};

    fn sources() -> Sources {
        let mut sources = Sources::default();
        let secret = from_value(&json!({"data": {"user": "YW5u", "password": "eA=="}})).unwrap();
        sources.secrets.insert("login".into(), secret);
        let config = from_value(&json!({"data": {"a.conf": "A"}, "binaryData": {"b": "/w=="}})).unwrap();
        sources.config_maps.insert("settings".into(), config);
        let token = Token { value: "token".to_owned().into(), renew_at: Timestamp::MAX };
        sources.tokens.insert((String::new(), 600), token);
        sources
    }

    fn made(volume: &Value) -> Result<VolumeFiles, String> {
        let pod: Pod =
            from_value(&json!({"metadata": {"name": "web"}, "spec": {"volumes": [volume]}})).unwrap();
        match files_of(&pod, &pod.spec.volumes[0], &sources(), &Place::default()) {
            Ok(files) => Ok(files.expect("a volume of files")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[track_caller]
    fn check(volume: Value, expected: &str) {
        let text = match made(&volume) {
            Ok(files) => {
                let line = |(path, file): (&String, &super::VolumeFile)| {
                    format!("{path}={} {:o}", String::from_utf8_lossy(&file.content), file.mode)
                };
                files.iter().map(line).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error,
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn volumes_hold_what_their_sources_say() {
        check(json!({"secret": {"secretName": "login"}}), "password=x 644, user=ann 644");
        check(
            json!({"secret": {"secretName": "login", "defaultMode": 256, "items": [{"key": "user", "path": "d/u"}]}}),
            "d/u=ann 400",
        );
        check(json!({"secret": {"secretName": "none"}}), "secret \"none\" not found");
        check(json!({"secret": {"secretName": "none", "optional": true}}), "");
        check(
            json!({"configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}}),
            "references non-existent config key: x",
        );
        check(json!({"configMap": {"name": "settings"}}), "a.conf=A 644, b=\u{fffd} 644");
        check(
            json!({"secret": {"secretName": "login", "items": [{"key": "user", "path": "../../etc/passwd"}]}}),
            "the path \"../../etc/passwd\" does not stay within the volume",
        );
        check(
            json!({"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
            "n=web 644",
        );
        check(
            json!({"projected": {"sources": [
                {"secret": {"name": "login", "items": [{"key": "user", "path": "u"}]}},
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}]}}),
            "token=token 644, u=ann 644",
        );
    }

    #[test]
    fn everything_a_volume_needs_is_read() {
        let pod: Pod = from_value(&json!({"spec": {"volumes": [
            {"name": "a", "secret": {"secretName": "s"}},
            {"name": "b", "projected": {"sources": [
                {"configMap": {"name": "c"}}, {"serviceAccountToken": {"path": "t", "audience": "x"}}]}}]}}))
        .unwrap();
        let wanted = Wanted::by_volumes(&pod);
        assert!(wanted.secrets.contains("s") && wanted.config_maps.contains("c"));
        assert!(wanted.tokens.contains(&("x".to_owned(), 3600)));
    }

    fn read(folder: &Path, name: &str) -> Option<String> {
        fs::read_to_string(folder.join(name)).ok()
    }

    #[test]
    fn files_change_together_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let first = json!({"secret": {"secretName": "login"}});
        write(folder, &made(&first).unwrap(), None).unwrap();
        assert_eq!(read(folder, "user").as_deref(), Some("ann"));
        let version = fs::read_link(folder.join("..data")).unwrap();
        write(folder, &made(&first).unwrap(), None).unwrap();
        assert_eq!(fs::read_link(folder.join("..data")).unwrap(), version);

        let second =
            json!({"secret": {"secretName": "login", "items": [{"key": "user", "path": "who/am/i"}]}});
        write(folder, &made(&second).unwrap(), None).unwrap();
        assert_eq!(read(folder, "who/am/i").as_deref(), Some("ann"));
        assert_eq!(read(folder, "user"), None);
        assert_eq!(names(folder), ["..1", "..data", "who"]);
    }

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_that_was_cut_off_is_ended_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let files = made(&json!({"secret": {"secretName": "login"}})).unwrap();
        // After the switch, before the names; and another one before its switch.
        super::switch(folder, &files, None).unwrap();
        fs::create_dir(folder.join("..7")).unwrap();
        fs::write(folder.join("..7/user"), "somebody").unwrap();
        write(folder, &files, None).unwrap();
        assert_eq!(read(folder, "user").as_deref(), Some("ann"));
        assert_eq!(names(folder), ["..0", "..data", "password", "user"]);
    }
}
