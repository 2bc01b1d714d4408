// SPDX-License-Identifier: Apache-2.0
// Front door of PromQL.

/// Parser, planner, evaluator and the vector algebra that all metric queries share.
///
///     let engine = PromQLEngine(reader: store)
///     let answer = try engine.query("sum(rate(http_requests_total[5m]))", at: now, context: context)
///
/// - `Syntax`: text to tree and back (`parseExpression`, `Expression.description`,
///   `prettyPrinted`), selectors of `match[]` (`parseSelector`), and the series notation of rule
///   unit tests (`parseSeriesNotation`).
/// - `Planning`: puts a query's times into its tree and finds what is the same at every step.
/// - `Evaluation`: turns a tree into operators over `SeriesReading` and collects their answer.
/// - `Explain`: watches an evaluation and tells what each operator did (`PromQLEngine.explain`).
/// - `Functions`: what calls do, one family per file.
/// - `Vectors`: operators on labels and per-step values, free of PromQL's syntax.
///
/// An operator tells the labels of its output first and then yields one series at a time with all
/// steps, so a query holds what its aggregations and joins must hold and no more. Semantics, error
/// texts and annotation texts are those of Prometheus 3.14.
package enum PromQL {}
