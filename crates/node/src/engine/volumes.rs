//! The engine's volumes, which hold the `emptyDir`s of pods: the engine makes and removes what containers write there,
//! whoever owns it.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use super::{Engine, EngineError};
use crate::labels::{self, PodIdentity};

/// Bytes of a page, by which file systems in memory are limited.
const PAGE: i64 = 4096;

impl Engine {
    /// Makes a volume of a pod; one that exists is fine. `memory` makes it a file system in memory, with a limit in
    /// bytes where one is given.
    pub(crate) async fn ensure_volume(
        &self,
        pod: &PodIdentity,
        name: &str,
        memory: Option<Option<i64>>,
    ) -> Result<(), EngineError> {
        let options = memory.map(|limit| {
            let mode = "mode=1777".to_owned();
            // In pages, because Podman takes `size=` for a quota of the disk.
            let limit = limit.map(|bytes| format!("nr_blocks={}", bytes.saturating_add(PAGE - 1) / PAGE));
            let options: Vec<String> = [Some(mode), limit].into_iter().flatten().collect();
            let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            HashMap::from([own("type", "tmpfs"), own("device", "tmpfs"), own("o", &options.join(","))])
        });
        let request = VolumeCreateRequest {
            name: Some(pod.volume_name(name)),
            labels: Some(pod.labels()),
            driver_opts: options,
            ..VolumeCreateRequest::default()
        };
        let docker = self.docker().await?;
        match docker.create_volume(request).await.map_err(EngineError::from) {
            Ok(_) | Err(EngineError::Conflict { .. } | EngineError::Answer(_)) => Ok(()),
            // Podman's answer to a name that is taken.
            Err(EngineError::Refused { message }) if message.contains("already exists") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every volume of a cluster, with the pod it belongs to.
    pub(crate) async fn cluster_volumes(
        &self,
        cluster: &str,
    ) -> Result<Vec<(String, PodIdentity)>, EngineError> {
        self.volumes(&labels::of_cluster(cluster)).await
    }

    /// The volumes of one pod.
    pub(crate) async fn pod_volumes(&self, uid: &str) -> Result<Vec<(String, PodIdentity)>, EngineError> {
        self.volumes(&labels::of_pod(uid)).await
    }

    async fn volumes(&self, label: &str) -> Result<Vec<(String, PodIdentity)>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker().await?.list_volumes(Some(options)).await?;
        let volumes = listed.volumes.unwrap_or_default().into_iter();
        Ok(volumes.filter_map(|volume| Some((volume.name, PodIdentity::read(&volume.labels)?))).collect())
    }

    /// Where the engine keeps a volume of a pod on this machine.
    pub(crate) async fn volume_path(&self, pod: &PodIdentity, name: &str) -> Result<PathBuf, EngineError> {
        let found = self.docker().await?.inspect_volume(&pod.volume_name(name)).await?;
        Ok(PathBuf::from(found.mountpoint))
    }

    /// Removes a volume; one that is gone is fine.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        match self.docker().await?.remove_volume(name, Some(options)).await.map_err(EngineError::from) {
            Err(EngineError::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
