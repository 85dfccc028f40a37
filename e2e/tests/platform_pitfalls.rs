//! The table of the platform's pitfalls is whole, and about tests that exist.

use anyhow::Result;

use crate::image_pitfalls::is_whole;

#[test]
fn the_table_of_platform_pitfalls_names_tests_that_exist() -> Result<()> {
    is_whole("docs/guides/pitfalls-platform.md", 53, 0)
}
