// SPDX-License-Identifier: Apache-2.0
// Service, level and trace of whole batches.

import Base
import Telemetry
import Testing

@testable import Wire

@Test func batchesGetServiceLevelAndTrace() throws {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    var batch = try decodePushJSON(
        #"""
        {"streams":[{"stream":{"job":"j","app":"shop"},"values":[["1","an error"],
        ["2","plain",{"level":"WARN","trace_id":"\#(trace)"}],["3","x",{"detected_level":"Err","a":"b"}],
        ["4","x",{"detected_level":"info"}],["5","also an error trace_id=\#(trace)",{"z":"1"}],
        ["6","x",{"level":"notice"}]]},
        {"stream":{"level":"info","service_name":"given"},"values":[["7","an error"]]},
        {"stream":{"pod":"p"},"values":[["8","{\"level\":\"fatal\"}"]]},
        {"stream":{"__aggregated_metric__":"m"},"values":[["9","x"]]}]}
        """#
    ).batch
    LogEnrichment().apply(to: &batch)
    #expect(
        describe(batch) == [
            #"{app="shop", job="j", service_name="shop"} 1 an error {detected_level="error"}"#,
            #"{app="shop", job="j", service_name="shop"} 2 plain "#
                + #"{detected_level="warn", level="WARN", trace_id="\#(trace)"}"#,
            #"{app="shop", job="j", service_name="shop"} 3 x {a="b", detected_level="error"}"#,
            #"{app="shop", job="j", service_name="shop"} 4 x {detected_level="info"}"#,
            #"{app="shop", job="j", service_name="shop"} 5 also an error trace_id=\#(trace) "#
                + #"{detected_level="error", z="1"}"#,
            #"{app="shop", job="j", service_name="shop"} 6 x {detected_level="notice", level="notice"}"#,
            #"{level="info", service_name="given"} 7 an error {detected_level="info"}"#,
            #"{pod="p", service_name="unknown_service"} 8 {"level":"fatal"} {detected_level="fatal"}"#,
            #"{__aggregated_metric__="m"} 9 x {detected_level="unknown"}"#,
        ])
    #expect(batch.traceIDs.enumerated().filter { !$0.element.isZero }.map(\.offset) == [1, 4])
    for stream in batch.streams {
        #expect(batch.arena.withSlice(stream.slice) { hash64($0) } == stream.hash)
        #expect(batch.arena.withSlice(stream.slice) { isCanonicalLabels($0) })
    }
    for metadata in batch.metadata {
        #expect(batch.arena.withSlice(metadata) { isCanonicalLabels($0) })
    }
}

@Test func enrichmentTwiceChangesNothingMore() throws {
    var once = try decodePushJSON(
        #"{"streams":[{"stream":{"app":"a"},"values":[["1","warn x",{"k":"v"}],["2","y"]]}]}"#
    ).batch
    LogEnrichment().apply(to: &once)
    var twice = once
    LogEnrichment().apply(to: &twice)
    #expect(describe(once) == describe(twice))
}

@Test func mergedLabelsStayCanonical() {
    let sets: [[(name: String, value: String)]] = [
        [], [("a", "1")], [("b", "2")], [("a", "9"), ("c", "3")],
        [("b", "2"), ("d", "4"), ("e", "5")],
        [(String(repeating: "n", count: 300), String(repeating: "v", count: 20_000))],
    ]
    for a in sets {
        for b in sets {
            var out: [UInt8] = []
            appendMergedLabels(Labels(a).bytes, Labels(b).bytes, to: &out)
            #expect(out == Labels(b + a).bytes)
        }
    }
}
