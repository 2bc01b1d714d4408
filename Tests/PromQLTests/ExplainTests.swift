// SPDX-License-Identifier: Apache-2.0
// Plans and what they say about the work of their nodes.

import Base
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import PromQL

/// Four series of `requests_total` and two of `up`, a sample a minute for an hour.
private func cluster() -> InMemorySeries {
    var store = InMemorySeries()
    for number in 0..<6 {
        var columns = SampleColumns()
        for minute in 0..<60 {
            columns.append(millis: Int64(minute) * 60_000, value: Double(number + minute))
        }
        let name = number < 4 ? "requests_total" : "up"
        store.append(
            Labels([("__name__", name), ("job", "j\(number % 2)"), ("pod", "p\(number / 2)")]),
            columns)
    }
    return store
}

/// A clock that advances by a nanosecond whenever it is read.
private final class TickingClock: Sendable {
    private let ticks = Atomic<Int64>(0)
    func next() -> Int64 { ticks.wrappingAdd(1, ordering: .relaxed).newValue }
}

private let hour: Int64 = 3_540_000

private func explained(_ query: String, stepMillis: Int64? = nil) throws -> ExplainedQuery {
    let engine = PromQLEngine(reader: cluster())
    let clock = TickingClock()
    let context = ReadContext(now: { clock.next() })
    guard let stepMillis else {
        return try engine.explain(query, at: Millis(hour), context: context)
    }
    return try engine.explainRange(
        query, start: Millis(hour - 600_000), end: Millis(hour), stepMillis: stepMillis,
        context: context)
}

/// The plan as lines: `operation series/samples/steps`, children indented.
private func lines(_ node: PlanNode, _ indent: String = "") -> [String] {
    [indent + "\(node.operation) \(node.series)/\(node.samples)/\(node.steps)"]
        + node.children.flatMap { lines($0, indent + "  ") }
}

private func all(_ node: PlanNode) -> [PlanNode] { [node] + node.children.flatMap(all) }

@Suite struct ExplainTests {
    @Test func nodesCountTheirSeriesSamplesAndSteps() throws {
        let cases: [(String, Int64?, [String])] = [
            ("up", nil, ["select 2/10/1"]),
            (
                "sum by (job) (rate(requests_total[5m]))", nil,
                ["aggregate sum by (job) 2/0/1", "  rate 4/0/1", "    select range 5m 4/20/1"]
            ),
            (
                "(sum without (pod) ((requests_total))) > 3", nil,
                ["compare > 2/0/1", "  aggregate sum without (pod) 2/0/1", "    select 4/20/1"]
            ),
            (
                "requests_total * on (job) group_left () -up", nil,
                [
                    "join * on (job) group_left () 4/0/1", "  select 4/20/1", "  negate 2/0/1",
                    "    select 2/10/1",
                ]
            ),
            (
                "max_over_time(sum(up)[10m:2m])", 300_000,
                [
                    "max_over_time 1/0/3", "  subquery 10m:2m 1/0/3", "    aggregate sum 1/0/10",
                    "      select 2/46/10",
                ]
            ),
            (
                "up * scalar(sum(up)) ^ 2", nil,
                [
                    "calculate * 2/0/1", "  scalar ^ 1/0/1", "    scalar 1/0/1",
                    "      aggregate sum 1/0/1", "        select 2/10/1", "  select 2/10/1",
                ]
            ),
            ("up or nothing", nil, ["set or 2/0/1", "  select 2/10/1", "  select 0/0/1"]),
            ("timestamp(up)", nil, ["timestamp 2/10/1"]),
            ("up[2m]", nil, ["select range 2m 2/4/1"]),
            ("time() + 1", nil, ["scalar + 1/0/1", "  time 1/0/1"]),
            ("-(1)", nil, ["literal 1/0/1"]),
            (#""text""#, nil, ["literal 1/0/1"]),
        ]
        for (query, step, expected) in cases {
            let plan = lines(try explained(query, stepMillis: step).plan)
            #expect(plan == expected, "\(query)\n\(plan.joined(separator: "\n"))")
        }
    }

    @Test func timesAndSamplesOfNodesAddUp() throws {
        for query in [
            "sum by (job) (rate(requests_total[5m])) / on (job) count by (job) (up @ end())",
            "topk(1, requests_total) or sort(up)", "scalar(sum(up)) * 2",
            "histogram_quantile(0.9, sum_over_time(up[5m:1m]))", "absent(nothing)",
        ] {
            let explained = try explained(query, stepMillis: 60_000)
            let nodes = all(explained.plan)
            #expect(nodes.allSatisfy { $0.ownNanos > 0 }, "\(query)")
            #expect(nodes.reduce(0) { $0 + $1.ownNanos } == explained.plan.totalNanos)
            #expect(explained.plan.totalNanos < explained.nanos)
            #expect(nodes.reduce(0) { $0 + $1.samples } == explained.samples, "\(query)")
        }
    }

    @Test func planningFactsStandAtTheirNodes() throws {
        let plan = try explained(
            #"up{job=~"j.*"} - on (job) ((sum by (job) (up offset 1m @ end())))"#,
            stepMillis: 60_000
        ).plan
        let fixed = plan.children[1]
        #expect(fixed.facts == ["step-invariant: computed once for 11 steps"])
        #expect(fixed.steps == 1)
        #expect(all(plan).filter { !$0.facts.isEmpty } == [fixed])
        #expect(
            all(plan).flatMap(\.selections) == [
                PlanNode.Selection(
                    matchers: #"{job=~"j.*", __name__="up"}"#,
                    firstMillis: hour - 600_000 - 300_000 + 1, lastMillis: hour, series: 2),
                PlanNode.Selection(
                    matchers: #"{__name__="up"}"#, firstMillis: hour - 60_000 - 300_000 + 1,
                    lastMillis: hour - 60_000, series: 2),
            ])
    }

    /// An explained query answers with the same warnings, and fails with the same errors.
    @Test func explainingEndsAsTheQueryDoes() throws {
        #expect(try explained("quantile(2, up)").warnings.count == 1)
        #expect(try explained("rate(up[5m])").infos.count == 1)
        let faults = [
            "up + on (job) requests_total", "sum(", "label_replace(up, \"a\", \"b\", \"c\", \"(\")",
        ]
        for query in faults {
            func text(_ work: () throws -> Void) -> String {
                do { try work() } catch { return "\(error)" }
                return "none"
            }
            let expected = text {
                _ = try PromQLEngine(reader: cluster()).query(
                    query, at: Millis(hour), context: ReadContext())
            }
            #expect(expected != "none")
            #expect(text { _ = try explained(query) } == expected)
        }
    }

    @Test func textsOfLongQueriesAreCut() throws {
        let query = (0..<200).map { "up{pod!=\"\($0)\"}" }.joined(separator: " or ")
        let nodes = all(try explained(query).plan)
        #expect(nodes.count == 399)
        #expect(nodes.allSatisfy { $0.text.utf8.count <= 1003 })
        #expect(nodes[0].text.hasSuffix("…"))
        #expect(nodes.last?.text == #"up{pod!="199"}"#)
    }
}
