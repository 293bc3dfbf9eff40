//! What is promised, checked at every step and at the end.

use super::{Checked, World};
use crate::node::{Node, Power};

impl World {
    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(super) fn check(&mut self) -> Checked {
        let running = |node: &&Node| node.workload.is_some() && node.power != Power::Suspended;
        let mut workloads = self.nodes.iter().filter(running);
        if let (Some(one), Some(other)) = (workloads.next(), workloads.next()) {
            let token = |node: &Node| node.workload.as_ref().map(|workload| workload.token);
            return Err(format!(
                "two workloads run: of {} (token {:?}) and of {} (token {:?})",
                one.name,
                token(one),
                other.name,
                token(other)
            ));
        }
        Ok(())
    }

    /// Every candidate agrees with the full rule about the head that it knows.
    pub(super) fn check_agreement(&mut self, node: usize) {
        let Some((head, effect)) = self.nodes[node].protocol.in_effect() else {
            return;
        };
        let expected = self.service.effect_at(head);
        if expected != Some(effect) {
            let name = self.nodes[node].name.clone();
            self.violate(format!(
                "{name} takes {effect} to be in effect, by the rule it is {expected:?}"
            ));
        }
    }

    pub(super) fn check_liveness(&mut self) -> Checked {
        let healed_at = self.healed_at.ok_or("it was not healed")?;
        let led_at = self
            .led_since_healing
            .ok_or("nobody led after the healing")?;
        self.summary.recovery = led_at.since(healed_at);
        let leaders = self
            .nodes
            .iter()
            .filter(|node| node.elector.is_leader())
            .count();
        if leaders != 1 {
            return Err(format!("{leaders} leaders at the end"));
        }
        Ok(())
    }
}
