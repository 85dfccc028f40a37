//! Sources of volumes that only a cluster's storage drivers can provide. Nothing here mounts them; they are kept and
//! described, so that manifests written for a cluster pass unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::{LocalObjectReference, Quantity};
use crate::meta::{LabelSelector, ObjectMeta};

/// A disk of Amazon's Elastic Block Store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct AWSElasticBlockStoreVolumeSource {
    /// Id of the disk.
    #[serde(rename = "volumeID")]
    pub volume_id: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Number of the partition; zero or missing for the whole disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A data disk of Azure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct AzureDiskVolumeSource {
    /// Name of the disk.
    pub disk_name: String,
    /// Address of the disk.
    #[serde(rename = "diskURI")]
    pub disk_uri: String,
    /// `None`, `ReadOnly` or `ReadWrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caching_mode: Option<String>,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_type: Option<String>,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// `Shared`, `Dedicated` or `Managed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A share of Azure Files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct AzureFileVolumeSource {
    /// Secret with the account's name and key.
    pub secret_name: String,
    /// Name of the share.
    pub share_name: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A file system of Ceph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CephFSVolumeSource {
    /// Addresses of the monitors.
    pub monitors: Vec<String>,
    /// Folder that is mounted; the root when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// User; `admin` when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// File of the node with the user's key ring.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_file: String,
    /// Secret with the user's key, instead of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A disk of OpenStack's Cinder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CinderVolumeSource {
    /// Id of the disk.
    #[serde(rename = "volumeID")]
    pub volume_id: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Secret with the credentials for OpenStack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// A volume that a CSI driver makes for the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CSIVolumeSource {
    /// Name of the driver.
    pub driver: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// File system the driver should use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_type: Option<String>,
    /// Settings for the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volume_attributes: BTreeMap<String, String>,
    /// Secret that the driver is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_publish_secret_ref: Option<LocalObjectReference>,
}

/// A volume that is claimed for the pod and given back with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct EphemeralVolumeSource {
    /// The claim that is made. Its name is that of the pod and of the volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_claim_template: Option<PersistentVolumeClaimTemplate>,
}

/// A claim that is made with a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimTemplate {
    /// Labels and annotations of the claim.
    pub metadata: ObjectMeta,
    /// What is claimed.
    pub spec: PersistentVolumeClaimSpec,
}

/// What is claimed of a storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimSpec {
    /// `ReadWriteOnce`, `ReadOnlyMany`, `ReadWriteMany`, `ReadWriteOncePod`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_modes: Vec<String>,
    /// Labels of the volumes that will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How much is wanted.
    pub resources: VolumeResourceRequirements,
    /// The volume that was found or is wanted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_name: String,
    /// Class of the storage; the default class when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// `Filesystem` or `Block`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<String>,
    /// What the volume is filled from: a snapshot or another claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<TypedLocalObjectReference>,
    /// The same, for sources of any kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source_ref: Option<TypedObjectReference>,
    /// Class of attributes that can be changed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_attributes_class_name: Option<String>,
}

/// How much storage is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeResourceRequirements {
    /// Most that will do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
    /// Least that will do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
}

/// An object of any kind in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TypedLocalObjectReference {
    /// Group of the kind; the core group when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// An object of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TypedObjectReference {
    /// Group of the kind; the core group when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the same one when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A disk on Fibre Channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FCVolumeSource {
    /// World wide names of the targets.
    #[serde(rename = "targetWWNs", skip_serializing_if = "Vec::is_empty")]
    pub target_ww_ns: Vec<String>,
    /// Number of the logical unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lun: Option<i32>,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// World wide ids of the disk, instead of targets and unit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wwids: Vec<String>,
}

/// A volume of a program of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FlexVolumeSource {
    /// Name of the program.
    pub driver: String,
    /// File system on it; the program knows the default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Secret that the program is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Settings for the program.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A data set of Flocker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FlockerVolumeSource {
    /// Name of the data set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dataset_name: String,
    /// Id of the data set.
    #[serde(rename = "datasetUUID", skip_serializing_if = "String::is_empty")]
    pub dataset_uuid: String,
}

/// A disk of Google's cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GCEPersistentDiskVolumeSource {
    /// Name of the disk.
    pub pd_name: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Number of the partition; zero or missing for the whole disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A checkout of a git repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GitRepoVolumeSource {
    /// Address of the repository.
    pub repository: String,
    /// Commit that is checked out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Folder within the volume; `.` for the volume itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub directory: String,
}

/// A volume of GlusterFS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GlusterfsVolumeSource {
    /// Name of the endpoints that list its servers.
    pub endpoints: String,
    /// Name of the volume.
    pub path: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// The content of an image or artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageVolumeSource {
    /// The image, as in a container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// `Always`, `Never` or `IfNotPresent`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pull_policy: String,
}

/// A disk on iSCSI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ISCSIVolumeSource {
    /// Address of the target.
    pub target_portal: String,
    /// Qualified name of the target.
    pub iqn: String,
    /// Number of the logical unit.
    pub lun: i32,
    /// Name of the interface; `default` when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub iscsi_interface: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Further addresses of the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub portals: Vec<String>,
    /// Whether discovery is authenticated with CHAP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chap_auth_discovery: bool,
    /// Whether sessions are authenticated with CHAP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chap_auth_session: bool,
    /// Secret with the CHAP credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Name of the initiator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiator_name: Option<String>,
}

/// A folder of an NFS server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NFSVolumeSource {
    /// Name or address of the server.
    pub server: String,
    /// The folder.
    pub path: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A disk of a Photon controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PhotonPersistentDiskVolumeSource {
    /// Id of the disk.
    #[serde(rename = "pdID")]
    pub pd_id: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
}

/// A volume of Portworx.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PortworxVolumeSource {
    /// Id of the volume.
    #[serde(rename = "volumeID")]
    pub volume_id: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A volume of Quobyte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct QuobyteVolumeSource {
    /// Addresses of the registries, separated by commas.
    pub registry: String,
    /// Name of the volume.
    pub volume: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// User it is mounted as.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Group it is mounted as.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Tenant that owns the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
}

/// A block device of Ceph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RBDVolumeSource {
    /// Addresses of the monitors.
    pub monitors: Vec<String>,
    /// Name of the image.
    pub image: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Pool of the image; `rbd` when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// User; `admin` when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// File of the node with the user's key ring.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub keyring: String,
    /// Secret with the user's key, instead of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A volume of ScaleIO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleIOVolumeSource {
    /// Address of the gateway.
    pub gateway: String,
    /// Name of the storage system.
    pub system: String,
    /// Secret with the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Whether the gateway is spoken to by TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ssl_enabled: bool,
    /// Name of the protection domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protection_domain: String,
    /// Name of the pool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storage_pool: String,
    /// `ThickProvisioned` or `ThinProvisioned`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storage_mode: String,
    /// Name of the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_name: String,
    /// File system on it, such as `xfs`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A volume of StorageOS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct StorageOSVolumeSource {
    /// Name of the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_name: String,
    /// Namespace of the volume in StorageOS; that of the pod when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_namespace: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Secret with the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// A disk of vSphere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct VsphereVirtualDiskVolumeSource {
    /// Path of the disk.
    pub volume_path: String,
    /// File system on it, such as `ext4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Name of the storage policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storage_policy_name: String,
    /// Id of the storage policy.
    #[serde(rename = "storagePolicyID", skip_serializing_if = "String::is_empty")]
    pub storage_policy_id: String,
}

/// Root certificates of the cluster in a projected volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterTrustBundleProjection {
    /// Name of one bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Signer whose bundles are joined, instead of a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer_name: Option<String>,
    /// Labels of the signer's bundles; with none, no bundle is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Whether there may be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// Path relative to the volume.
    pub path: String,
}

/// A private key and its certificate in a projected volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PodCertificateProjection {
    /// Who signs the certificate.
    pub signer_name: String,
    /// Kind of the key: `RSA3072`, `RSA4096`, `ECDSAP256`, `ECDSAP384`, `ECDSAP521` or `ED25519`.
    pub key_type: String,
    /// Longest life of the certificate in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_expiration_seconds: Option<i32>,
    /// Path of a file with key and certificates.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub credential_bundle_path: String,
    /// Path of a file with the key alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_path: String,
    /// Path of a file with the certificates alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_chain_path: String,
    /// Notes for the signer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user_annotations: BTreeMap<String, String>,
}
