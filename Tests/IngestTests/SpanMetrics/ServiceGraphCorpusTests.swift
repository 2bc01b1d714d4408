// SPDX-License-Identifier: Apache-2.0
// Edges of the reference's traces.

import Ingest
import TestKit
import Testing

/// One expectation of the corpus.
private struct Expectation {
    var file = ""
    var dimensions: [String] = []
    var isAfterWait = false
    var labels: [String: String] = [:]
    /// By metric: the value, and how far it may be off.
    var values: [(name: String, value: Double, tolerance: Double)] = []

    init(_ json: CorpusJSON) {
        for (name, value) in json.members {
            switch name {
            case "file": file = value.string ?? ""
            case "afterWait": isAfterWait = value.bool ?? false
            case "dimensions": dimensions = value.array.compactMap(\.string)
            case "labels": labels = value.members.compactMapValues(\.string)
            default:
                guard let number = value.double else { continue }
                let parts = name.split(separator: "~")
                values.append(
                    (String(parts[0]), number, parts.count > 1 ? Double(parts[1]) ?? 0 : 1e-9))
            }
        }
    }
}

@Test(.enabled(if: Corpora.folder != nil))
func serviceGraphOfTheCorpusIsAsExpected() throws {
    let folder = "traceql/servicegraph/"
    let bytes = try #require(Corpora.file(folder + "expected-series.json"))
    let expectations = try CorpusJSON(parsing: bytes).array.map(Expectation.init)
    #expect(expectations.count >= 15)
    for expected in expectations {
        let counted = CountedSpans { settings in
            settings.graph.dimensions = expected.dimensions
            settings.graph.buckets = [0.04]
            settings.graph.hasMessagingLatency = true
        }
        let body = try #require(Corpora.file(folder + expected.file))
        counted.take(try counted.decode(body))
        if expected.isAfterWait { counted.clock.advance(seconds: 11) }
        let written = counted.collect()
        #expect(expected.values.count >= 2, "\(expected.file)")
        for (name, value, tolerance) in expected.values {
            let found = written.value(name, expected.labels)
            #expect(
                abs((found ?? 0) - value) <= tolerance,
                "\(expected.file) \(name) \(expected.labels): \(found ?? .nan), not \(value)")
            if value == 0 { #expect(found == nil) }
        }
    }
}
