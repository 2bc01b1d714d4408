// SPDX-License-Identifier: Apache-2.0
// Expositions under a grouping key.

import Base
import Telemetry
import Testing

@testable import Wire

@Suite struct PushedFamiliesTests {
    private func decode(
        _ text: String, _ grouping: [(name: String, value: String)] = [("job", "j")]
    ) throws -> [PushedFamily] {
        var text = text
        return try text.withUTF8 {
            try PushedFamilies.decode(UnsafeRawBufferPointer($0), .text, grouping: grouping)
        }
    }

    @Test func seriesFindTheirFamilyAndGetTheLabels() throws {
        let families = try decode(
            """
            # HELP lat Latency.
            # TYPE lat histogram
            lat_bucket{le="1",job="own"} 2
            lat_bucket{le="+Inf"} 3
            lat_sum 4
            lat_count 3
            other{instance="i"} 1
            # TYPE idle gauge

            """, [("job", "j"), ("instance", "")])
        #expect(families.map(\.name) == ["idle", "lat", "other"])
        #expect(families.map(\.type) == [.gauge, .histogram, .unknown])
        #expect(
            families.flatMap { sampleLines($0.batch) } == [
                #"{__name__="lat_bucket", job="j", le="1.0"} 2 @0"#,
                #"{__name__="lat_bucket", job="j", le="+Inf"} 3 @0"#,
                #"{__name__="lat_sum", job="j"} 4 @0"#,
                #"{__name__="lat_count", job="j"} 3 @0"#, #"{__name__="other", job="j"} 1 @0"#,
            ])
    }

    @Test func contradictionsKeepThePushOut() {
        for text in [
            "a 1 1600000000\n", "a 1\na 2\n", "a{job=\"x\"} 1\na{job=\"y\"} 2\n",
            "a{b=\"1\",b=\"2\"} 1\n",
            "a 1 2 3\n",
        ] {
            #expect(throws: ExpositionError.self) { try decode(text) }
        }
    }

    @Test func protobufPushesKeepNativeHistograms() throws {
        var family = ProtobufWriter()
        family.string(1, "h")
        family.int32(3, 4)
        family.message(4) { metric in
            metric.message(7) { data in
                data.uint64(1, 2)
                data.double(2, 3)
                data.double(6, 1e-128)
                data.uint64(7, 2)
                data.message(3) {
                    $0.uint64(1, 2)
                    $0.double(2, 1)
                }
            }
        }
        var length = ProtobufWriter()
        length.rawVarint(UInt64(family.count))
        let bytes = length.bytes + family.bytes
        let families = try bytes.withUnsafeBytes {
            try PushedFamilies.decode($0, .protobuf, grouping: [("job", "j")])
        }
        #expect(families.map(\.name) == ["h"] && families.map(\.type) == [.histogram])
        #expect(families[0].batch.histogramSeries.count == 1)
        #expect(families[0].batch.sampleSeries.count == 4)
        mutate(bytes, rounds: 3000) { damaged in
            _ = damaged.withUnsafeBytes {
                try? PushedFamilies.decode($0, .protobuf, grouping: [("job", "j")])
            }
        }
    }
}
