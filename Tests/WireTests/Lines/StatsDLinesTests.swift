// SPDX-License-Identifier: Apache-2.0
// StatsD lines.

import Base
import Telemetry
import Testing

@testable import Wire

@Suite struct StatsDLinesTests {
    private func decode(_ text: String) -> StatsDBatch {
        var text = text
        var batch = StatsDBatch()
        text.withUTF8 { StatsDLines.decode(UnsafeRawBufferPointer($0), into: &batch) }
        return batch
    }

    private func lines(_ batch: StatsDBatch) -> [String] {
        batch.observations.map { one in
            "\(batch.arena.labels(one.series)) \(one.kind) \(floatText(one.value))"
                + (one.weight == 1 ? "" : " x\(floatText(one.weight))")
                + (one.isChange ? " change" : "")
        }
    }

    @Test func typesRatesAndTags() {
        let got = lines(
            decode(
                "api.hits:3|c|@0.5\r\nload:-2|g\nload:2|g\nload:+2.5|g|#host:a,dev,zone:b:c\n"
                    + "2x.t-ime:250|ms|@0.1|c:abc\nsize:1:2:3|h\nbytes:7|d\n\n"))
        let want = [
            #"{__name__="api_hits"} counter 6"#, #"{__name__="load"} gauge -2 change"#,
            #"{__name__="load"} gauge 2"#,
            #"{__name__="load", host="a", zone="b:c"} gauge 2.5 change"#,
            #"{__name__="_2x_t_ime"} histogram 0.25 x10"#, #"{__name__="size"} histogram 1"#,
            #"{__name__="size"} histogram 2"#, #"{__name__="size"} histogram 3"#,
            #"{__name__="bytes"} histogram 7"#,
        ]
        if got != want { Issue.record("got  \(got)\nwant \(want)") }
        let sets = decode("users:ann|s\nusers:bob|s\nusers:ann|s").observations.map(\.member)
        #expect(sets[0] == sets[2] && sets[0] != sets[1])
    }

    @Test func badLinesCostOnlyThemselves() {
        for line in [
            "x", ":1|c", "x:1", "x:|c", "x:1|q", "x:1|c|@2", "x:1|c|@0", "x:1|c|@x", "x:nan|g",
            "x:-1|c", "x:1:y|h", "x:1|c|?", "_e{1,2}:a|bc", "_sc|a|0", "x:inf|h",
            "x:1|c|#a:1,a:2", "x:1|c|T1600000000",
        ] {
            let got = decode("good:1|c\n\(line)\ngood:1|c")
            #expect(got.rejectedLines == 1 && got.observations.count == 2, "\(line)")
            #expect(got.problems.count == 1)
        }
    }

    @Test func damageNeverCrashes() {
        var survived = 0
        let seed = Array("a.b:1.5|ms|@0.5|#c:d,e:f\nx:2:3|h|c:9\nu:v|s\ng:+1|g\n".utf8)
        mutate(seed, rounds: 6000) { bytes in
            var batch = StatsDBatch()
            bytes.withUnsafeBytes { StatsDLines.decode($0, into: &batch) }
            survived += batch.observations.count
            for one in batch.observations {
                batch.arena.withSlice(one.series.slice) { #expect(isCanonicalLabels($0)) }
            }
        }
        #expect(survived > 100)
    }
}
