// SPDX-License-Identifier: Apache-2.0
// Front door of Rules.

/// Recording and alerting rules.
///
/// - `Definition`: groups and rules as values, what makes them invalid, and what reads what.
/// - `Templates`: the texts of labels and annotations (`AlertTemplate`), on LogQL's template language.
/// - `Evaluation`: one rule at one time (`Rule`), one group at one time (`RuleGroup.evaluate`), the
///   life of an alert, and `for` taken up again after a restart.
/// - `Scheduling`: groups at their times (`Ruler`), reloads.
/// - `Delivery`: alerts on their way to Alertmanagers (`AlertNotifier`).
///
/// Queries and writes go through `RuleQueries` and `RuleSink`, time through Base's clock, HTTP
/// through `AlertPosting`: nothing here knows a socket. Semantics, names and error texts are those of
/// prometheus/prometheus `rules` and `notifier`.
package enum Rules {}
