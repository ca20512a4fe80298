//! Tests of the renderers on the fixture runs.

use super::fixture;
use super::{assemble, html};

#[test]
#[ignore = "writes pages to look at into target/report-fixture"]
fn pages_to_look_at() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report-fixture");
    std::fs::create_dir_all(&dir).expect("the target folder is writable");
    for (name, run) in [
        ("pass", fixture::quickstart()),
        ("fail", fixture::failing()),
    ] {
        let page = html::render(&assemble::report(&run));
        std::fs::write(dir.join(format!("{name}.html")), page).expect("just created");
    }
}
