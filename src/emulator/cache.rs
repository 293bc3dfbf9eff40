//! Rendered bodies, so that many who poll one gist cost one rendering for each change.

use std::collections::VecDeque;
use std::sync::Arc;

/// A few gists under a few names each.
const MOST_BODIES: usize = 32;

/// Some bodies of the usual size: each write makes a new one, and hardly anybody asks for an old one again.
/// A larger one alone is still kept.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The bodies rendered last, the newest at the back.
#[derive(Debug, Default)]
pub(super) struct Cache {
    bodies: VecDeque<(u128, Arc<Vec<u8>>)>,
    bytes: usize,
}

impl Cache {
    /// The body of this key, rendered if it is not here.
    pub(super) fn get(&mut self, key: u128, render: impl FnOnce() -> Vec<u8>) -> Arc<Vec<u8>> {
        if let Some(at) = self.bodies.iter().position(|(known, _)| *known == key) {
            let found = self.bodies.remove(at);
            if let Some((_, body)) = &found {
                let body = Arc::clone(body);
                self.bodies.extend(found);
                return body;
            }
        }
        let body = Arc::new(render());
        self.bytes += body.len();
        self.bodies.push_back((key, Arc::clone(&body)));
        while self.bodies.len() > MOST_BODIES || self.bytes > MOST_BYTES && self.bodies.len() > 1 {
            let gone = self.bodies.pop_front();
            self.bytes -= gone.map_or(0, |(_, body)| body.len());
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_rendered_once_until_others_have_pushed_it_out() {
        let mut cache = Cache::default();
        let first = cache.get(0, || b"first".to_vec());
        assert!(Arc::ptr_eq(
            &first,
            &cache.get(0, || panic!("rendered again"))
        ));
        for key in 1..=MOST_BODIES as u128 {
            cache.get(key, || vec![0]);
        }
        assert_eq!(*cache.get(0, || b"again".to_vec()), b"again");
        assert!(cache.bodies.len() <= MOST_BODIES);
        assert_eq!(
            cache.bytes,
            cache
                .bodies
                .iter()
                .map(|(_, body)| body.len())
                .sum::<usize>()
        );
    }

    #[test]
    fn large_bodies_push_each_other_out() {
        let mut cache = Cache::default();
        for key in 0..5 {
            cache.get(key, || vec![0; MOST_BYTES / 2]);
        }
        assert_eq!(cache.bodies.len(), 2);
        assert!(cache.bytes <= MOST_BYTES);
    }
}
