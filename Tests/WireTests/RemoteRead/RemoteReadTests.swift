// SPDX-License-Identifier: Apache-2.0
// Remote read: requests under damage, answers read back.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct RemoteReadTests {
    private func decode(_ bytes: [UInt8]) throws -> RemoteRead.Request {
        try bytes.withUnsafeBytes { try RemoteRead.decode($0) }
    }

    private static func request() -> [UInt8] {
        var writer = ProtobufWriter()
        for (start, matchers) in [
            (Int64(1_000), [(UInt32(0), "job", "api"), (2, "path", "/a.*"), (3, "zone", "x|y")]),
            (-5, [(1, "__name__", "up")]),
        ] {
            writer.message(1) { query in
                query.int64(1, start)
                query.int64(2, 9_000)
                for (type, name, value) in matchers {
                    query.message(3) {
                        $0.uint32(1, type)
                        $0.string(2, name)
                        $0.string(3, value)
                    }
                }
                query.message(4) { $0.int64(1, 15_000) }
            }
        }
        for type in [UInt32(1), 0] { writer.uint32(2, type, always: true) }
        return writer.bytes
    }

    @Test func requestsAreRead() throws {
        let request = try decode(Self.request())
        #expect(request.acceptedTypes == [1, 0])
        #expect(request.responseType == .streamedXORChunks)
        #expect(request.queries.map(\.startMillis) == [1_000, -5])
        #expect(request.queries.map(\.endMillis) == [9_000, 9_000])
        #expect(
            request.queries.map { $0.matchers.map(\.description) } == [
                [#"job="api""#, #"path=~"/a.*""#, #"zone!~"x|y""#], [#"__name__!="up""#],
            ])
        #expect(try decode([]) == RemoteRead.Request())
    }

    @Test func thereMayBeManyQueriesAndMatchersButNotAnyNumber() {
        var queries = ProtobufWriter()
        for _ in 0...RemoteRead.maxQueries { queries.message(1) { $0.int64(1, 1) } }
        #expect(throws: MalformedBytes.self) { try decode(queries.bytes) }
        var matchers = ProtobufWriter()
        matchers.message(1) { query in
            for _ in 0...RemoteRead.maxQueries { query.message(3) { $0.string(2, "a") } }
        }
        #expect(throws: MalformedBytes.self) { try decode(matchers.bytes) }
    }

    @Test func damageNeverCrashes() {
        var survived = 0, refused = 0
        mutate(Self.request(), rounds: 20_000) { bytes in
            do {
                let request = try decode(bytes)
                survived += 1
                #expect(request.queries.count <= bytes.count)
            } catch { refused += 1 }
        }
        #expect(survived > 500 && refused > 500, "\(survived) read, \(refused) refused")
    }

    /// A `QueryResult` has the fields of a remote write request, whose reader is tested elsewhere.
    @Test func answersOfFloatsAndHistogramsReadBack() throws {
        var columns = SampleColumns()
        columns.append(millis: 1_000, value: 1.5)
        columns.append(millis: 2_000, value: StaleMarker.value)
        var integers = NativeHistogram()
        integers.isInteger = true
        integers.schema = 2
        integers.count = 6
        integers.sum = 4.5
        integers.zeroCount = 1
        integers.zeroThreshold = 1e-9
        integers.positiveSpans = [.init(offset: -2, length: 2)]
        integers.positiveBuckets = [2, 3]
        integers.counterReset = .notReset
        columns.append(millis: 3_000, histogram: integers)
        var custom = NativeHistogram()
        custom.schema = NativeHistogram.customSchema
        custom.count = 3.5
        custom.positiveSpans = [.init(offset: 0, length: 2)]
        custom.positiveBuckets = [1.5, 2]
        custom.customBounds = [0.5, 2.5]
        columns.append(millis: 4_000, histogram: custom)
        let labels = Labels([("__name__", "latency"), ("path", "/é")])
        var writer = ProtobufWriter()
        RemoteRead.writeSeries(labels, columns, into: &writer)

        let back = try writer.bytes.withUnsafeBytes {
            try RemoteWrite1.decode($0, limits: MetricDecodingLimits())
        }
        #expect(back.problems.isEmpty)
        #expect(back.batch.series.map { back.batch.arena.labels($0) } == [labels])
        #expect(back.batch.sampleMillis == [1_000, 2_000])
        #expect(
            back.batch.sampleValues.map(\.bitPattern)
                == columns.values.prefix(2).map(\.bitPattern))
        #expect(back.batch.histogramMillis == [3_000, 4_000])
        #expect(try (0..<2).map { try back.batch.histogram($0) } == [integers, custom])
    }
}
