//! What the hub answers.

use std::collections::VecDeque;
use std::fs;
use std::net::TcpListener;

use nearfield::hub::{Hub, HubError};

use crate::world::{World, content, quick};

#[test]
fn a_missing_file_is_named_with_its_repository_and_revision() {
    let world = World::new(content(10));
    world.server.script().statuses = VecDeque::from([404]);
    world.server.script().error_code = Some("EntryNotFound".into());
    let message = world.pull().unwrap_err().to_string();
    assert_eq!(message, "there is no file sub/model.gguf in org/name at revision main (HTTP 404, EntryNotFound)");
    world.assert_nothing_is_here();
}

#[test]
fn a_gated_model_says_where_the_licence_is_and_how_to_give_a_token() {
    for status in [401, 403] {
        let world = World::new(content(10));
        world.server.script().statuses = VecDeque::from([status]);
        let message = world.pull().unwrap_err().to_string();
        for part in ["gated", "HF_TOKEN", &format!("{}/org/name", world.server.endpoint()), &status.to_string()] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[test]
fn a_hub_that_fails_for_a_moment_is_asked_again() {
    for status in [500, 502, 503, 429] {
        let world = World::new(content(1000));
        world.server.script().statuses = VecDeque::from([status, status]);
        assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content, "{status}");
    }
    let world = World::new(content(1000));
    world.server.script().statuses = VecDeque::from([500; 100]);
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::HubFails { attempts: 4, .. }), "{error}");
}

#[test]
fn an_expired_address_of_the_content_is_asked_for_anew() {
    let world = World::new(content(1000));
    world.server.script().cdn_statuses = VecDeque::from([403]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
}

#[test]
fn relative_redirects_are_followed_and_loops_are_not() {
    let world = World::new(content(1000));
    world.server.script().renamed = 3;
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);

    let world = World::new(content(1000));
    world.server.script().renamed = usize::MAX;
    let message = world.pull().unwrap_err().to_string();
    assert!(message.contains("redirects"), "{message}");

    let world = World::new(content(1000));
    world.server.script().cdn_loop = true;
    let message = world.pull().unwrap_err().to_string();
    assert!(message.contains("redirects"), "{message}");
    assert!(world.server.log().len() < 20);
    world.assert_nothing_is_here();
}

#[test]
fn a_login_page_is_not_taken_for_a_model() {
    for of_the_hub in [true, false] {
        let world = World::new(content(1000));
        world.server.script().web_page = Some(of_the_hub);
        let error = world.pull().unwrap_err();
        assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
        assert!(error.to_string().contains("web page"), "{error}");
        world.assert_nothing_is_here();
        assert!(world.left_over().is_empty());
    }
}

#[test]
fn headers_without_end_and_names_that_leave_the_cache_are_refused() {
    let world = World::new(content(1000));
    world.server.script().header_bytes = 10_000_000;
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::NotAHub { .. } | HubError::HubFails { .. }), "{error}");
    for etag in ["../../../evil", "", "a/b", &"e".repeat(500)] {
        let world = World::new(content(1000));
        world.server.script().etag = Some(etag.to_string());
        assert!(matches!(world.pull(), Err(HubError::NotAHub { .. })), "{etag}");
    }
    for commit in ["../../../../evil", "main", ""] {
        let world = World::new(content(1000));
        world.server.script().commit = Some(commit.to_string());
        assert!(matches!(world.pull(), Err(HubError::NotAHub { .. })), "{commit}");
    }
}

#[test]
fn without_a_network_one_sentence_says_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // nobody listens there any more
    let world = World::new(content(10));
    let hub = Hub::new(&format!("http://{closed}"), None, quick()).unwrap();
    let message = world.pull_with(&hub, &|| false).unwrap_err().to_string();
    assert!(message.contains("cannot be reached") && message.contains("offline"), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_one_else() {
    let world = World::new(content(1000));
    world.server.script().renamed = 1;
    world.pull_with(&world.hub_with(quick(), Some("hf_secret")), &|| false).unwrap();
    let log = world.server.log();
    assert!(log.iter().any(|r| r.server == "cdn"));
    for request in log {
        let expected = (request.server == "hub").then_some("Bearer hf_secret");
        assert_eq!(request.header("authorization").as_deref(), expected, "{request:?}");
    }
}
