// SPDX-License-Identifier: Apache-2.0
// InfluxDB line protocol.

import Base
import Telemetry
import Testing

@testable import Wire

/// Samples of a batch as `{labels} value @millis`.
func sampleLines(_ batch: MetricBatch) -> [String] {
    batch.sampleSeries.indices.map { i in
        let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
        return "\(labels) \(floatText(batch.sampleValues[i])) @\(batch.sampleMillis[i])"
    }
}

@Suite struct InfluxLinesTests {
    private func decode(
        _ text: String, _ change: (inout InfluxLines.Options) -> Void = { _ in }
    ) -> LineBatch {
        var options = InfluxLines.Options(nowMillis: 5000)
        change(&options)
        var text = text
        return text.withUTF8 { InfluxLines.decode(UnsafeRawBufferPointer($0), options) }
    }

    private func same(_ got: [String], _ want: [String]) {
        if got != want { Issue.record("got  \(got)\nwant \(want)") }
    }

    @Test func fieldsBecomeSeries() {
        let got = decode(
            "cpu,host=a,cpu=cpu\\ 0 usage=1.5,n=3i,big=18446744073709551615u,up=t,down=FALSE 1700000000000000000\n"
        )
        same(
            sampleLines(got.batch),
            [
                #"{__name__="cpu_usage", cpu="cpu 0", host="a"} 1.5 @1700000000000"#,
                #"{__name__="cpu_n", cpu="cpu 0", host="a"} 3 @1700000000000"#,
                #"{__name__="cpu_big", cpu="cpu 0", host="a"} 18446744073709552000 @1700000000000"#,
                #"{__name__="cpu_up", cpu="cpu 0", host="a"} 1 @1700000000000"#,
                #"{__name__="cpu_down", cpu="cpu 0", host="a"} 0 @1700000000000"#,
            ])
        #expect(got.rejectedLines == 0 && got.message.isEmpty)
    }

    @Test func escapesAndQuotes() {
        let got = decode(
            """
            # a comment

            my\\,mea\\ sure,t\\=1=x\\\\y,empty= f\\,1=2,text="a, b=\\"c\\" \\\\",multi="two
            lines",last=4\r
            plain v=1
            """)
        same(
            sampleLines(got.batch),
            [
                #"{__name__="my,mea sure_f,1", "t=1"="x\\y"} 2 @5000"#,
                #"{__name__="my,mea sure_last", "t=1"="x\\y"} 4 @5000"#,
                #"{__name__="plain_v"} 1 @5000"#,
            ])
        #expect(got.skippedTexts == 2 && got.rejectedLines == 0)
    }

    @Test(
        arguments: [
            ("ns", 1_700_000_000_123_456_789), ("us", 1_700_000_000_123_456),
            ("ms", 1_700_000_000_123), ("n", 1_700_000_000_123_000_000),
            ("µ", 1_700_000_000_123_000),
        ] as [(String, Int64)]) func precisions(_ name: String, _ time: Int64) throws
    {
        let precision = try #require(InfluxLines.Precision(parameter: name))
        #expect(InfluxLines.millis(time, precision) == 1_700_000_000_123)
        #expect(InfluxLines.millis(time, nil) == 1_700_000_000_123)
    }

    @Test func coarsePrecisionsAreCheckedForOverflow() {
        #expect(InfluxLines.millis(1_700_000_000, nil) == 1_700_000_000_000)
        #expect(InfluxLines.millis(2, .minutes) == 120_000)
        #expect(InfluxLines.millis(2, .hours) == 7_200_000)
        #expect(
            InfluxLines.millis(.max, .hours) == nil && InfluxLines.millis(.min, .seconds) == nil)
        #expect(InfluxLines.Precision(parameter: "d") == nil)
    }

    @Test func databaseAndExtraLabels() {
        let got = decode("m,db=own,a=1 v=1\nm,a=1 v=2") {
            $0.database = "telegraf"
            $0.extraLabels = [("a", "2")]
        }
        same(
            sampleLines(got.batch),
            [
                #"{__name__="m_v", a="2", db="own"} 1 @5000"#,
                #"{__name__="m_v", a="2", db="telegraf"} 2 @5000"#,
            ])
    }

    @Test func badLinesCostOnlyThemselves() {
        let bad = [
            "nofields", "m ", "m v", "m v=", "m =1", "m v=1x", "m v=1i5", "m v=1.5i", "m v=-1u",
            "m v=nan", "m,t v=1", "m,=t v=1", "m,a=1,a=2 v=1", "m v=1 soon",
            "m v=1 99999999999999999999",
            "m v=\"open",
        ]
        for line in bad {
            let got = decode("good v=1 1\n\(line)\ngood v=2 2")
            #expect(got.rejectedLines == 1 && got.batch.sampleSeries.count == 2, "\(line)")
            #expect(got.problems.map(\.line) == [2], "\(line)")
        }
        let got = decode("m v=1,w=x\ngood v=2")
        #expect(got.batch.sampleValues == [2])
    }

    @Test func aRequestHasItsBounds() {
        let got = decode(
            "m,t=\(String(repeating: "x", count: 500)) "
                + (0..<100).map { "f\($0)=1" }.joined(separator: ",") + "\nn v=1"
        ) { $0.limits.arenaBytes = 10_000 }
        #expect(got.rejectedLines == 1 && got.batch.sampleSeries.count == 1)
        let long = decode("m,t=\(String(repeating: "x", count: 500)) v=1") {
            $0.limits.labelValueBytes = 100
        }
        #expect(long.rejectedLines == 1)
    }

    @Test func damageNeverCrashes() {
        let seed = Array(
            "cpu,host=a,c\\ d=e usage=1.5,n=3i,s=\"x\\\"y\",up=t 1700000000000000000\nm v=1\n".utf8)
        var survived = 0
        mutate(seed, rounds: 6000) { bytes in
            let got = bytes.withUnsafeBytes {
                InfluxLines.decode($0, InfluxLines.Options(nowMillis: 1))
            }
            survived += got.batch.sampleSeries.count
            for ref in got.batch.series {
                got.batch.arena.withSlice(ref.slice) { #expect(isCanonicalLabels($0)) }
            }
        }
        #expect(survived > 100)
    }
}
