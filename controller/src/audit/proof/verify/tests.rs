//! Trails that no store would write: signed as they should be, and wrong all the same.

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;

use super::*;
use crate::audit::proof::hash::possession_message;
use crate::audit::proof::hex;
use crate::audit::proof::key::PrivateKey;
use crate::audit::proof::link::{KeyLink, LinkBody, LinkHead, SealLink, StartLink};
use crate::audit::proof::row::SessionRow;
use crate::audit::proof::signer::{sign_entry, sign_link};
use crate::audit::{ControlEntry, ControlEvent, EntryBody};

/// A trail that is signed by hand.
struct Hand {
    key: PrivateKey,
    head: LinkHead,
    records: Vec<Record>,
}

impl Hand {
    fn new() -> Self {
        let mut hand = Self { key: PrivateKey::generate(), head: LinkHead::EMPTY, records: Vec::new() };
        let first = hand.key_link(&hand.key, 1, None);
        hand.link(0, first);
        hand
    }

    fn key_link(&self, key: &PrivateKey, number: i64, replaces: Option<&PrivateKey>) -> LinkBody {
        let public = key.public();
        let possession = key.sign(&possession_message(self.head.n + 1, &self.head.hash, public.as_bytes()));
        LinkBody::Key(KeyLink {
            id: public.id(),
            number,
            public_key: public.to_hex(),
            possession: hex::encode(&possession),
            replaces: replaces.map(PrivateKey::id),
            lost: false,
            installation: "test".into(),
        })
    }

    fn link(&mut self, epoch: i64, body: LinkBody) {
        let link = sign_link(&self.key, self.head, epoch, body).unwrap();
        self.head = link.head();
        self.records.push(Record::Link(link.into()));
    }

    fn start(&mut self, epoch: i64, session: &str) {
        let start = StartLink {
            session: session.to_owned().into(),
            incident_uid: String::new(),
            incident_namespace: String::new(),
            incident_name: String::new(),
            attempt: 1,
        };
        self.link(epoch, LinkBody::Start(start));
    }

    /// The session and its entries, each in its epoch; the last one's hash.
    fn entries(&mut self, session: &str, anchor: Hash, epochs: &[i64]) -> Hash {
        let id = SessionId::from(session.to_owned());
        let (incident_uid, incident_namespace, incident_name) = Default::default();
        let row = SessionRow { id: id.clone(), incident_uid, incident_namespace, incident_name, attempt: 1 };
        self.records.push(Record::Session(row));
        let body = EntryBody::Control(ControlEntry {
            event: ControlEvent::Nudged,
            message: String::new(),
            details: serde_json::Value::Null,
        });
        let mut prev = anchor;
        for (seq, epoch) in (1..).zip(epochs) {
            let entry = sign_entry(&self.key, &id, seq, *epoch, prev, Timestamp::UNIX_EPOCH, &body).unwrap();
            prev = entry.hash;
            self.records.push(Record::Entry(entry.into()));
        }
        prev
    }

    async fn faults(self) -> Vec<String> {
        let records = stream::iter(self.records.into_iter().map(Ok)).boxed();
        let report = verify(records, Scope::All, Expected::default()).await.unwrap();
        report.faults.iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn an_epoch_does_not_go_back() {
    let mut hand = Hand::new();
    hand.start(2, "a");
    let anchor = hand.head.hash;
    hand.start(1, "b");
    let other = hand.head.hash;
    hand.entries("a", anchor, &[2, 5, 4]);
    hand.entries("b", other, &[1]);
    let found = hand.faults().await;
    assert_eq!(
        found,
        [
            "link 3: it is of epoch 1, and comes after one of epoch 2",
            "session a, entry 3: it is of epoch 4, and comes after one of epoch 5"
        ]
    );
}

#[tokio::test]
async fn a_key_that_was_replaced_signs_nothing_new() {
    let mut hand = Hand::new();
    let new = PrivateKey::generate();
    let body = hand.key_link(&new, 2, Some(&hand.key));
    hand.link(0, body);
    // Still with the first one.
    hand.start(1, "a");
    let anchor = hand.head.hash;
    hand.entries("a", anchor, &[1]);
    let old = hand.key.id();
    let found = hand.faults().await;
    assert_eq!(
        found,
        [
            format!("link 3: it is signed by the key {old}, which link 2 replaced"),
            format!("session a, entry 1: it is signed by the key {old}, which had been replaced"),
        ]
    );
}

#[tokio::test]
async fn a_key_needs_somebody_who_has_it() {
    let mut hand = Hand::new();
    let LinkBody::Key(mut link) = hand.key_link(&PrivateKey::generate(), 2, Some(&hand.key)) else { unreachable!() };
    link.possession = hex::encode(&hand.key.sign(b"something else"));
    hand.link(0, LinkBody::Key(link));
    let found = hand.faults().await;
    assert!(found[0].starts_with("link 2: nobody has shown to have the private half"), "{found:?}");
}

#[tokio::test]
async fn a_session_begins_once_and_is_sealed_with_its_last_entry() {
    let mut hand = Hand::new();
    hand.start(1, "a");
    let anchor = hand.head.hash;
    hand.start(1, "a");
    let seal = |last_seq, last_hash| LinkBody::Seal(SealLink { session: "a".to_owned().into(), last_seq, last_hash });
    hand.link(1, seal(1, Hash::of(b"another")));
    hand.link(1, seal(1, Hash::of(b"another")));
    hand.entries("a", anchor, &[1, 1]);
    let found = hand.faults().await;
    assert_eq!(
        found,
        [
            "link 3: session a began by link 2 already",
            "link 5: session a was sealed by link 4 already",
            "session a, entry 2: it comes after entry 1, with which link 4 says that the session was sealed",
        ]
    );
}

#[tokio::test]
async fn nothing_at_all_is_no_trail() {
    let found = Hand { records: Vec::new(), ..Hand::new() }.faults().await;
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("nothing was ever signed"), "{found:?}");
}
