// SPDX-License-Identifier: Apache-2.0
// Fields, labels, volumes and patterns.

import Base
import Telemetry
import TestKit
import Testing

@testable import LogQL

@Suite struct DiscoveryTests {
    private let web = Labels([("app", "web"), ("replica", "1234"), ("instance", "17")])

    private func fields(_ query: String = "{app=~\".+\"}") throws -> FieldRequest {
        FieldRequest(
            try LogQLParser.parseLogQuery(query), tenant: .anonymous, startNanos: 0,
            endNanos: 10_000, lineLimit: 100, fieldLimit: 50)
    }

    @Test func fieldsOfJSONLogfmtAndMetadata() throws {
        var logs = InMemoryLogs()
        logs.add(
            web, nanos: 1,
            #"{"level":"warn","a b":{"c":7,"d":"x\ty"},"tags":[1],"none":null,"ok":true,"app":"z"}"#
        )
        logs.add(web, nanos: 2, #"{"a b":{"c":7.5}}"#)
        logs.add(
            web, nanos: 3, "took=12ms size=2kB n=5 msg=\"no luck\" empty= user",
            metadata: Labels([("trace_id", "abc")]))
        logs.add(web, nanos: 4, "took=1.5s n=x")
        let engine = LogQLEngine(reader: logs)
        let found = try engine.detectedFields(try fields(), ReadContext())
        func field(_ label: String) -> DetectedField? { found.first { $0.label == label } }
        #expect(
            found.map(\.label) == [
                "a_b_c", "a_b_d", "app_extracted", "level", "msg", "n", "ok", "size", "took",
                "trace_id",
            ])
        #expect(
            field("a_b_c")
                == DetectedField(
                    label: "a_b_c", type: .float, cardinality: 2, parsers: ["json"],
                    jsonPath: ["a b", "c"]))
        #expect(field("n")?.type == .string && field("n")?.cardinality == 2)
        #expect(field("took")?.type == .duration && field("took")?.parsers == ["logfmt"])
        #expect(field("size")?.type == .bytes && field("ok")?.type == .boolean)
        #expect(field("trace_id")?.parsers == [] && field("trace_id")?.jsonPath == [])
        let values = try engine.detectedValues(
            of: "took", try fields(), ReadContext())
        #expect(values == ["1.5s", "12ms"])
    }

    @Test func fieldsOfTheQuerysOwnParser() throws {
        var logs = InMemoryLogs()
        logs.add(web, nanos: 1, "GET /pay 200")
        let request = try fields("{app=\"web\"} | pattern \"<method> <_> <status>\"")
        let found = try LogQLEngine(reader: logs).detectedFields(request, ReadContext())
        #expect(found.map(\.label) == ["method", "status"])
        #expect(found.allSatisfy { $0.parsers == ["pattern"] } && found[1].type == .int)
    }

    @Test func onlyNewestLinesAreLookedAt() throws {
        var logs = InMemoryLogs()
        for i in 0..<50 { logs.add(web, nanos: Int64(i), "k\(i)=v") }
        var request = try fields()
        request.lineLimit = 3
        let found = try LogQLEngine(reader: logs).detectedFields(request, ReadContext())
        #expect(found.map(\.label) == ["k47", "k48", "k49"])
    }

    @Test func labelsNobodyChoosesByAreLeftOut() throws {
        var logs = InMemoryLogs()
        logs.add(web, nanos: 1, "x")
        logs.add(
            Labels([
                ("app", "db"), ("uid", "123e4567-e89b-12d3-a456-426614174000"), ("flag", "1"),
            ]), nanos: 2, "y")
        let request = LogRequest(
            tenant: .anonymous, matchers: [],
            range: NanosRange(first: Nanos(0), last: Nanos(10)))
        let found = try LogQLEngine(reader: logs).detectedLabels(request, ReadContext())
        #expect(
            found == [
                DetectedLabel(label: "app", cardinality: 2),
                DetectedLabel(label: "flag", cardinality: 1),
                DetectedLabel(label: "instance", cardinality: 1),
            ])
    }

    @Test func volumesByStepAndLabel() throws {
        var logs = InMemoryLogs()
        let db = Labels([("app", "db"), ("zone", "n")])
        logs.add(Labels([("app", "web")]), nanos: 5, "12345")
        logs.add(Labels([("app", "web")]), nanos: 10, "123")
        logs.add(db, nanos: 11, "1")
        logs.add(db, nanos: 20, "12")
        let request = LogRequest(
            tenant: .anonymous, matchers: [],
            range: NanosRange(first: Nanos(0), last: Nanos(100)))
        let engine = LogQLEngine(reader: logs)
        let steps = try EvaluationSteps(startNanos: 10, endNanos: 30, stepNanos: 10)
        let byStep = try engine.volumes(
            VolumeRequest(request, targetLabels: ["app"], byLabels: false, steps: steps),
            ReadContext())
        #expect(byStep.map(\.bytes) == [[8, 0, 0], [0, 3, 0]])
        #expect(byStep.map { $0.labels.map(\.value) } == [["web"], ["db"]])
        let byLabel = try engine.volumes(
            VolumeRequest(request, targetLabels: [], byLabels: true), ReadContext())
        #expect(byLabel.map { $0.labels.map(\.name) } == [["app"], ["zone"]])
        #expect(byLabel.map(\.bytes) == [[11], [3]])
    }

    @Test func patternsMatchTheirLines() throws {
        var logs = InMemoryLogs()
        let errors = Labels([("detected_level", "error")])
        for i in 0..<20 {
            let nanos = Int64(i) * 1_000_000_000
            logs.add(web, nanos: nanos, "user u\(i) paid \(i * 7) from 10.0.0.\(i) in \(i)ms")
            logs.add(
                web, nanos: nanos, "connection to \(i % 2 == 0 ? "db" : "cache") refused",
                metadata: errors)
        }
        let request = LogRequest(
            tenant: .anonymous, matchers: [],
            range: NanosRange(first: Nanos(0), last: Nanos(.max)))
        let engine = LogQLEngine(reader: logs)
        let found = try engine.patterns(request, stepSeconds: 10, ReadContext())
        #expect(
            found.map(\.pattern) == [
                "connection to <_> refused", "user <_> paid <_> from <_> in <_>",
            ])
        #expect(found.map(\.level) == ["error", ""])
        #expect(
            found[0].samples.map(\.seconds) == [0, 10] && found[0].samples.map(\.count) == [10, 10])
        for pattern in found {
            let query = try LogQLParser.parseLogQuery("{app=\"web\"} |> `\(pattern.pattern)`")
            let lines = try engine.queryLogs(
                LogQuery(
                    query, tenant: .anonymous, startNanos: 0, endNanos: .max, limit: 0),
                ReadContext())
            #expect(lines.streams.reduce(0) { $0 + $1.entries.count } == 20)
        }
    }

    /// What senders and askers choose the number of counts as memory of the query.
    @Test func memoryIsBounded() throws {
        var logs = InMemoryLogs()
        for i in 0..<2000 {
            logs.add(
                Labels([("app", "a\(i)")]), nanos: Int64(i) * 1_000_000_000, "k\(i)=v word",
                metadata: Labels([("detected_level", "l\(i)")]))
        }
        let engine = LogQLEngine(reader: logs)
        let all = LogRequest(
            tenant: .anonymous, matchers: [],
            range: NanosRange(first: Nanos(0), last: Nanos(.max)))
        let limited = { ReadContext(memoryLimitBytes: 100_000) }
        let steps = try EvaluationSteps(
            startNanos: 0, endNanos: 2_000_000_000_000, stepNanos: 1_000_000_000)
        #expect(throws: QueryInterruption.self) {
            try engine.volumes(
                VolumeRequest(all, targetLabels: [], byLabels: false, steps: steps), limited())
        }
        #expect(throws: QueryInterruption.self) {
            try engine.patterns(all, stepSeconds: 1, limited())
        }
        var request = try fields()
        request.endNanos = .max
        request.lineLimit = .max
        #expect(throws: QueryInterruption.self) {
            try engine.detectedFields(request, limited())
        }
    }

    /// Whatever the lines, a pattern matches every line of its group.
    @Test func minedPatternsMatch() throws {
        var random = SplitMix64(seed: 4)
        let pieces = ["a", "error", "1", "x7", " ", "  ", "=", ":", ".", "/", "é", "", "\"", "-"]
        for _ in 0..<300 {
            var miner = PatternMiner()
            var lines: [(line: [UInt8], group: Int)] = []
            for _ in 0..<20 {
                let line = Array(
                    (0..<(random.next() % 8)).map { _ in
                        pieces[Int(random.next() % UInt64(pieces.count))]
                    }.joined().utf8)
                let group = line.withUnsafeBytes { miner.add($0) }
                if let group { lines.append((line, group)) }
            }
            for (line, group) in lines {
                let text = miner.groups[group].pattern
                guard text.contains("<_>") else {
                    #expect(String(decoding: line, as: UTF8.self) == text)
                    continue
                }
                let pattern = try LinePattern(filter: text)
                #expect(line.withUnsafeBytes { pattern.matches($0) }, "\(text)")
            }
        }
    }
}
