// SPDX-License-Identifier: Apache-2.0
// Requests of the receiver compliance suite, decoded.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct RemoteWriteComplianceTests {
    private static let now: Int64 = 1_700_000_000_000

    /// Builds the message by hand, so that the decoder is not checked against our own encoder.
    private struct Request {
        var symbols = [""]
        var series:
            [(labels: [(String, String)], fill: (inout ProtobufWriter, inout Request) -> Void)] =
                []

        mutating func ref(_ text: String) -> UInt32 {
            if let place = symbols.firstIndex(of: text) { return UInt32(place) }
            symbols.append(text)
            return UInt32(symbols.count - 1)
        }
        mutating func refs(_ labels: [(String, String)]) -> [UInt32] {
            labels.flatMap { [ref($0.0), ref($0.1)] }
        }

        mutating func bytes2() -> [UInt8] {
            var body = ProtobufWriter()
            for one in series {
                let mark = body.begin(5)
                body.packedUInt32(1, refs(one.labels))
                one.fill(&body, &self)
                body.end(mark)
            }
            var writer = ProtobufWriter()
            for text in symbols { writer.string(4, text, always: true) }
            return writer.bytes + body.bytes
        }

        mutating func bytes1() -> [UInt8] {
            var body = ProtobufWriter()
            for one in series {
                let mark = body.begin(1)
                for label in one.labels {
                    body.message(1) {
                        $0.string(1, label.0)
                        $0.string(2, label.1)
                    }
                }
                one.fill(&body, &self)
                body.end(mark)
            }
            return body.bytes
        }
    }

    private func labels(_ value: CorpusJSON?) -> [(String, String)] {
        (value?.members ?? [:]).map { ($0.key, $0.value.string ?? "") }.sorted { $0.0 < $1.0 }
    }

    private func number(_ value: CorpusJSON?) -> Double {
        value?.string == "StaleNaN" ? StaleMarker.value : value?.double ?? 0
    }

    private func write(
        _ histogram: CorpusJSON, _ millis: Int64, _ start: Int64, _ w: inout ProtobufWriter
    ) {
        if let count = histogram["countInt"]?.int { w.uint64(1, UInt64(count), always: true) }
        if let count = histogram["countFloat"]?.double { w.double(2, count, always: true) }
        w.double(3, number(histogram["sum"]))
        w.sint32(4, Int32(histogram["schema"]?.int ?? 0))
        w.double(5, number(histogram["zeroThreshold"]))
        if let count = histogram["zeroCountInt"]?.int { w.uint64(6, UInt64(count), always: true) }
        if let count = histogram["zeroCountFloat"]?.double { w.double(7, count, always: true) }
        for (key, field) in [("negativeSpans", UInt32(8)), ("positiveSpans", 11)] {
            for span in histogram[key]?.array ?? [] {
                w.message(field) {
                    $0.sint32(1, Int32(span["offset"]?.int ?? 0))
                    $0.uint32(2, UInt32(span["length"]?.int ?? 0))
                }
            }
        }
        w.packedSInt64(9, (histogram["negativeDeltas"]?.array ?? []).compactMap(\.int))
        w.packedSInt64(12, (histogram["positiveDeltas"]?.array ?? []).compactMap(\.int))
        w.packedDouble(16, (histogram["customValues"]?.array ?? []).compactMap(\.double))
        w.int64(15, millis)
        w.int64(17, start)
    }

    private func build(_ body: CorpusJSON) -> Request {
        var request = Request()
        var exemplars = (body["exemplars"]?.array ?? []).map { ($0, used: false) }
        var metadata = (body["metadata"]?.array ?? []).map { ($0, used: false) }
        func millis(_ row: CorpusJSON) -> Int64 { Self.now + (row["offsetMs"]?.int ?? 0) }
        func start(_ row: CorpusJSON) -> Int64 {
            row["createdTimestampOffsetMs"]?.int.map { Self.now + $0 } ?? 0
        }
        func writeExemplar(_ row: CorpusJSON, _ w: inout ProtobufWriter, _ request: inout Request) {
            let refs = request.refs(labels(row["exemplarLabels"]))
            w.message(4) {
                $0.packedUInt32(1, refs)
                $0.double(2, number(row["value"]))
                $0.int64(3, millis(row))
            }
        }
        func writeMetadata(_ row: CorpusJSON, _ w: inout ProtobufWriter, _ request: inout Request) {
            let help = request.ref(row["help"]?.string ?? "")
            let unit = request.ref(row["unit"]?.string ?? "")
            let type = MetricType.allCases.first { $0.text == row["type"]?.string } ?? .unknown
            w.message(5) {
                $0.uint64(1, UInt64(type.rawValue))
                $0.uint32(3, help)
                $0.uint32(4, unit)
            }
        }
        let points = (body["samples"]?.array ?? []) + (body["histograms"]?.array ?? [])
        for row in points {
            let own = labels(row["labels"])
            let name = own.first { $0.0 == "__name__" }?.1
            var mine: [CorpusJSON] = []
            for i in exemplars.indices where !exemplars[i].used {
                if labels(exemplars[i].0["labels"]).map({ $0.0 + $0.1 }) == own.map({ $0.0 + $0.1 })
                {
                    exemplars[i].used = true
                    mine.append(exemplars[i].0)
                }
            }
            var meta: CorpusJSON?
            for i in metadata.indices where !metadata[i].used && meta == nil {
                if labels(metadata[i].0["labels"]).first(where: { $0.0 == "__name__" })?.1 == name {
                    metadata[i].used = true
                    meta = metadata[i].0
                }
            }
            request.series.append(
                (
                    own,
                    { w, request in
                        if let histogram = row["histogram"] {
                            w.message(3) { write(histogram, millis(row), start(row), &$0) }
                        } else {
                            w.message(2) {
                                $0.double(1, number(row["value"]))
                                $0.int64(2, millis(row))
                                $0.int64(3, start(row))
                            }
                        }
                        for exemplar in mine { writeExemplar(exemplar, &w, &request) }
                        if let meta { writeMetadata(meta, &w, &request) }
                    }
                ))
        }
        for (row, used) in exemplars where !used {
            request.series.append((labels(row["labels"]), { writeExemplar(row, &$0, &$1) }))
        }
        for (row, used) in metadata where !used {
            request.series.append((labels(row["labels"]), { writeMetadata(row, &$0, &$1) }))
        }
        return request
    }

    @Test func requestsDecodeAsTheSuiteExpects() throws {
        guard let file = Corpora.file("compliance/remote-write-receiver.jsonl") else { return }
        var cases = 0
        for row in try CorpusJSON.lines(file) where row["bodyNote"]?.string == nil {
            guard let body = row["body"], let expect = row["expect"] else { continue }
            cases += 1
            let name = row["name"]?.string ?? "?"
            var request = build(body)
            let isTwo = row["protocol"]?.int == 2
            let bytes = isTwo ? request.bytes2() : request.bytes1()
            let result = try bytes.withUnsafeBytes {
                try isTwo ? RemoteWrite2.decode($0) : RemoteWrite1.decode($0)
            }
            let isGood = result.problems.isEmpty && !result.hasInvalidHistogram
            #expect(isGood == expect["success"]?.bool, "\(name): \(result.problems)")
            guard isTwo else { continue }
            let counts = [
                ("samplesWritten", result.batch.sampleSeries.count),
                ("histogramsWritten", result.batch.histogramSeries.count),
                ("exemplarsWritten", result.batch.exemplarSeries.count),
            ]
            for (key, count) in counts {
                let wanted = Int(expect[key]?.int ?? 0)
                if isGood {
                    #expect(count == wanted, "\(name) \(key)")
                } else {
                    #expect(count <= wanted, "\(name) \(key)")
                }
            }
            // What was sent must be there bit by bit.
            if isGood {
                let sent = (body["samples"]?.array ?? []).map { number($0["value"]).bitPattern }
                #expect(result.batch.sampleValues.map(\.bitPattern) == sent, "\(name)")
                let starts = (body["samples"]?.array ?? []).map {
                    $0["createdTimestampOffsetMs"]?.int.map { Self.now + $0 } ?? 0
                }
                if starts.contains(where: { $0 != 0 }) {
                    #expect(result.batch.sampleStartMillis == starts, "\(name)")
                }
            }
        }
        if Corpora.folder != nil { #expect(cases > 80) }
    }
}
