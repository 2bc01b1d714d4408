// SPDX-License-Identifier: Apache-2.0
// Graphite's plaintext protocol.

import Base
import Telemetry
import Testing

@testable import Wire

@Suite struct GraphiteLinesTests {
    private func decode(_ text: String) -> LineBatch {
        var text = text
        return text.withUTF8 {
            GraphiteLines.decode(UnsafeRawBufferPointer($0), nowMillis: 5000)
        }
    }

    @Test func pathsAndTags() {
        let got = decode(
            "servers.web1.load 0.5 1700000000\n\tdisk.used;dc=eu west;rack=a1\t12 1700000000.25\r\n"
                + "now 1\nnow 2 N\nnow 3 -1\n\n")
        let want = [
            #"{__name__="servers.web1.load"} 0.5 @1700000000000"#,
            #"{__name__="disk.used", dc="eu west", rack="a1"} 12 @1700000000250"#,
            #"{__name__="now"} 1 @5000"#, #"{__name__="now"} 2 @5000"#,
            #"{__name__="now"} 3 @5000"#,
        ]
        let lines = sampleLines(got.batch)
        if lines != want { Issue.record("got  \(lines)\nwant \(want)") }
        #expect(got.rejectedLines == 0)
    }

    @Test func badLinesCostOnlyThemselves() {
        for line in [
            "alone", "a b 1700000000", "a 1 soon", "a;t 1 1", "a;=x 1 1", ";t=x 1 1", "a 1 1e300",
            "a;t=1;t=2 1 1", "a; 1 1", "a;t=1; 1 1", "a nan 1",
        ] {
            let got = decode("good 1 1\n\(line)\ngood 2 2")
            #expect(got.rejectedLines == 1 && got.batch.sampleSeries.count == 2, "\(line)")
            #expect(got.problems.map(\.line) == [2])
        }
    }

    @Test func damageNeverCrashes() {
        var survived = 0
        mutate(Array("a.b;c=d;e=f 1.5 1700000000\nx 2 N\n".utf8), rounds: 6000) { bytes in
            let got = bytes.withUnsafeBytes { GraphiteLines.decode($0, nowMillis: 1) }
            survived += got.batch.sampleSeries.count
        }
        #expect(survived > 100)
    }
}
