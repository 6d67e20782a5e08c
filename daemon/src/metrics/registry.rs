//! Who has something to tell, asked when somebody looks.

use std::sync::{Arc, OnceLock, RwLock};

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use super::Figure;

type Source = Arc<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;
type Health = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// What watching programs may know; a handle.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sources: RwLock<Vec<Source>>,
    health: OnceLock<Health>,
}

impl Registry {
    /// Tells what `figures` returns, each time somebody looks. Names of different sources differ.
    pub fn tell(&self, figures: impl Fn() -> Vec<Figure> + Send + Sync + 'static) {
        let source: Source = Arc::new(move || figures().into_iter().map(|it| it.0).collect());
        self.0.sources.write().expect("no panic while held").push(source);
    }

    /// Tells how the daemon fares: `ailments` returns a line for each thing that is not well. Until this is called
    /// the daemon is starting. Only the first call counts.
    pub fn report_health(&self, ailments: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        let _ = self.0.health.set(Box::new(ailments));
    }

    /// A line for each thing that is not well.
    pub(super) fn ailments(&self) -> Vec<String> {
        match self.0.health.get() {
            Some(ailments) => ailments(),
            None => vec!["the daemon is starting: it is not at the chain's tip yet".to_owned()],
        }
    }

    /// Everything in Prometheus's text format, in the order of names.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        // No lock is held while sources are asked: they call LDK.
        let sources = self.0.sources.read().expect("no panic while held").clone();
        let mut families: Vec<MetricFamily> = sources.iter().flat_map(|source| source()).collect();
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families)
    }

    /// [`Registry::text`] for the tests of other rooms.
    #[cfg(test)]
    pub(crate) fn text_for_tests(&self) -> String {
        self.text().expect("sound figures")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn figures_are_told_in_prometheus_words() {
        let registry = Registry::default();
        registry.tell(|| {
            vec![
                Figure::counter("a_total", "Of a \\ and\nb.").is(3),
                Figure::gauge("d_sat", "Money.").is(2_099_999_997_690_000),
                Figure::gauge("c", "By kind.")
                    .of(&[("kind", "a \"b\"")], 1)
                    .of(&[("kind", "c")], 0),
                Figure::counter("none_total", "Nothing to tell."),
                Figure::gauge("b_seconds", "Time.").lasts(Duration::from_millis(1_500)),
            ]
        });
        let told = registry.text().expect("sound figures");
        assert_eq!(
            told,
            "# HELP a_total Of a \\\\ and\\nb.\n# TYPE a_total counter\na_total 3\n\
             # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds 1.5\n\
             # HELP c By kind.\n# TYPE c gauge\nc{kind=\"a \\\"b\\\"\"} 1\nc{kind=\"c\"} 0\n\
             # HELP d_sat Money.\n# TYPE d_sat gauge\nd_sat 2099999997690000\n"
        );
    }

    #[test]
    fn durations_are_told_as_a_histogram_whose_classes_add_up() {
        let registry = Registry::default();
        registry.tell(|| {
            let classes = [(Duration::from_millis(1), 2), (Duration::from_millis(50), 3)];
            vec![Figure::durations("x_seconds", "X.", &classes, 6, Duration::from_secs(2))]
        });
        assert_eq!(
            registry.text().expect("sound figures"),
            "# HELP x_seconds X.\n# TYPE x_seconds histogram\n\
             x_seconds_bucket{le=\"0.001\"} 2\nx_seconds_bucket{le=\"0.05\"} 5\n\
             x_seconds_bucket{le=\"+Inf\"} 6\nx_seconds_sum 2\nx_seconds_count 6\n"
        );
    }

    #[test]
    fn a_daemon_that_has_not_said_how_it_fares_is_starting() {
        let registry = Registry::default();
        assert!(registry.ailments()[0].contains("starting"));
        registry.report_health(Vec::new);
        assert!(registry.ailments().is_empty());
    }
}
