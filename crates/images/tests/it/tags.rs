//! Tags move, remember where they were, and are listed page by page.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use pierhead_blobs::Blobs;
use pierhead_images::{DeleteError, Page};
use pierhead_oci::Tag;
use pierhead_store::Store;

use crate::world::{Sample, World, all_tables};

const AT: (&str, &str) = ("shop", "web");

#[tokio::test]
async fn history_has_every_move_once_newest_first() {
    let world = World::new().await;
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    for sample in [&one, &two, &two, &one] {
        world.advance(std::time::Duration::from_secs(10));
        world.put_image(AT, "latest", sample).await;
    }
    let (one, two) = (one.digest().to_string(), two.digest().to_string());
    assert_eq!(world.history(AT, "latest"), [one.clone(), two, one], "going back is a move too");
    let stream = world.stream("shop", "web");
    let times: Vec<_> = stream.status_tag("latest").unwrap().items.iter().map(|item| item.created).collect();
    assert!(times.is_sorted_by(|newer, older| newer > older), "{times:?}");
}

/// A reader never sees an older value than the last one that was acknowledged, through whatever cache.
#[tokio::test]
async fn a_pull_sees_the_last_acknowledged_push() {
    let world = World::new().await;
    let samples: Vec<_> = (0..5).map(|number| Sample::new(&number.to_string())).collect();
    for round in 0..20 {
        let sample = &samples[round % samples.len()];
        world.put_image(AT, "latest", sample).await;
        for _ in 0..2 {
            assert_eq!(world.pulled(AT, "latest").await, Some(sample.digest()), "round {round}");
        }
    }
    world.images.delete_manifest(&world.delete("shop", "web"), &samples[4].digest()).await.unwrap();
    assert_eq!(world.pulled(AT, "latest").await, None);
    assert_eq!(world.pulled(AT, &samples[4].digest().to_string()).await, None);
    assert_eq!(world.pulled(AT, &samples[3].digest().to_string()).await, Some(samples[3].digest()));
}

#[tokio::test]
async fn deleting_a_manifest_takes_exactly_the_tags_that_point_at_it() {
    let world = World::new().await;
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    for (tag, sample) in [("a", &one), ("b", &one), ("c", &two), ("moved", &one), ("moved", &two)] {
        world.put_image(AT, tag, sample).await;
    }
    world.images.delete_manifest(&world.delete("shop", "web"), &one.digest()).await.unwrap();
    let page = world.images.tags(&world.pull("shop", "web"), None, 10).unwrap();
    assert_eq!(page, Page { items: vec!["c".into(), "moved".into()], more: false });
    let again = world.images.delete_manifest(&world.delete("shop", "web"), &one.digest()).await;
    assert!(matches!(again, Err(DeleteError::ManifestUnknown { .. })), "{again:?}");
    let absent: Tag = "absent".parse().unwrap();
    let absent = world.images.delete_tag(&world.delete("shop", "web"), &absent).await;
    assert!(matches!(absent, Err(DeleteError::TagUnknown { .. })), "{absent:?}");
}

#[tokio::test]
async fn tags_come_in_lexical_pages() {
    let world = World::new().await;
    let sample = Sample::new("one");
    let tags = ["10", "9", "A", "B", "a", "a.b", "b-1"];
    for tag in tags.iter().rev() {
        world.put_image(AT, tag, &sample).await;
    }
    let pull = world.pull("shop", "web");
    for size in 1..=8 {
        let (mut listed, mut last) = (Vec::new(), None);
        loop {
            let Page { items, more } = world.images.tags(&pull, last.as_deref(), size).unwrap();
            assert!(items.len() <= size);
            last = items.last().cloned();
            listed.extend(items);
            if !more {
                break;
            }
        }
        assert_eq!(listed, tags, "pages of {size}");
    }
    world.put_image(("other", "api"), "x", &sample).await;
    let catalog = world.auth.permit_catalog(&world.user).unwrap();
    let page = world.images.catalog(&catalog, None, 1).unwrap();
    assert_eq!(page, Page { items: vec!["other/api".into()], more: true });
    let page = world.images.catalog(&catalog, Some("other/api"), 5).unwrap();
    assert_eq!(page, Page { items: vec!["shop/web".into()], more: false });
}

/// One tag as a register under concurrent writers and readers (reliability U5): no read is older than a push that was
/// acknowledged before it began, nor than an earlier read; and history has every push once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_linearizable() {
    const WRITERS: usize = 3;
    const PUSHES: usize = 12;
    let directory = tempfile::tempdir().unwrap();
    let clock = pierhead_runtime::ManualClock::new("2026-11-23T10:00:00Z".parse().unwrap());
    let store = Store::open(&directory.path().join("rows"), clock.shared(), &all_tables()).unwrap();
    let world = World::over(store, Blobs::memory(clock.shared()), clock).await;
    world.put_image(AT, "latest", &Sample::new("first")).await;
    let ticks = AtomicU64::new(0);
    let running = AtomicUsize::new(WRITERS);
    let tick = || ticks.fetch_add(1, Ordering::SeqCst);
    let write = async |writer: usize| {
        let mut acknowledged = Vec::new();
        for push in 0..PUSHES {
            let digest = world.put_image(AT, "latest", &Sample::new(&format!("{writer}-{push}"))).await;
            acknowledged.push((tick(), digest.to_string()));
        }
        running.fetch_sub(1, Ordering::SeqCst);
        acknowledged
    };
    let read = async || {
        let mut reads = Vec::new();
        while running.load(Ordering::SeqCst) > 0 {
            let began = tick();
            let seen = world.pulled(AT, "latest").await.unwrap().to_string();
            reads.push((began, tick(), seen));
            tokio::task::yield_now().await;
        }
        reads
    };
    let (one, two, three, reads) = tokio::join!(write(0), write(1), write(2), read());
    let mut history = world.history(AT, "latest");
    history.reverse();
    assert_eq!(history.len(), 1 + WRITERS * PUSHES);
    let position = |digest: &String| history.iter().position(|known| known == digest).unwrap();
    let pushes: Vec<_> = [one, two, three].concat();
    let mut newest_read = (0, 0);
    for (began, ended, seen) in &reads {
        let seen = position(seen);
        let known = pushes.iter().filter(|(acknowledged, _)| acknowledged < began);
        let at_least = known.map(|(_, digest)| position(digest)).max().unwrap_or(0);
        assert!(seen >= at_least, "a read saw {seen} after {at_least} was acknowledged");
        assert!(
            seen >= newest_read.1 || *began < newest_read.0,
            "a read went back from {} to {seen}",
            newest_read.1
        );
        newest_read = (*ended, seen.max(newest_read.1));
    }
}
