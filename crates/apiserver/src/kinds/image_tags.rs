//! Tags of image streams as objects: image stream tags and image tags (images 3.7, 3.8).
//!
//! Owns names and verbs; neither kind can be watched. The rest is `images`'.

use pierhead_api::image::{ImageStreamTag, ImageTag};
use pierhead_auth::Auth;
use pierhead_images::Images;

use crate::kind::{Kind, Verb};
use crate::storage::image_tags::{ImageTags, TagKind};
use crate::strategy::Strategy;

const VERBS: [Verb; 6] = [Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update];

/// The two kinds.
pub(crate) fn kinds(images: &Images, auth: &Auth) -> Vec<Kind> {
    let kept = |kind| ImageTags::new(images.clone(), auth.clone(), kind);
    vec![
        Kind::stored(StreamTags).verbs(&VERBS).kept_in(kept(TagKind::StreamTag)).openshift(),
        // Newer than `/oapi`: it never had an old form.
        Kind::stored(Tags).verbs(&VERBS).kept_in(kept(TagKind::ImageTag)),
    ]
}

struct StreamTags;

impl Strategy for StreamTags {
    type Object = ImageStreamTag;
}

struct Tags;

impl Strategy for Tags {
    type Object = ImageTag;
}
