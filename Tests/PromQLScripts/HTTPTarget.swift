// SPDX-License-Identifier: Apache-2.0
// Scripts against a running server: remote write in, the HTTP API out.

import Base
import PromQL
import Telemetry
import TestKit
import Wire

/// A server that answers on loopback, with a tenant of its own for each store that a script starts
/// with, so that nothing of one is seen by the next.
///
/// The server must select tenants by `X-Scope-OrgID`, keep samples of the year 1970, and have all
/// of PromQL's features on. Blocks: see `onThread`.
package struct HTTPTarget: ScriptTarget {
    private let port: Int
    private let name: String
    private var stores = 0

    /// - Parameter name: start of the tenants' names, different for each target of a server.
    package init(port: Int, name: String) {
        self.port = port
        self.name = name
    }

    private var tenant: (String, String) { ("X-Scope-OrgID", "\(name)-\(stores)") }

    package mutating func clear() { stores += 1 }

    // MARK: Writing

    /// Sends a load as one remote write 2.0 request, and checks that all of it was taken.
    package mutating func load(_ load: Script.Load) throws {
        var batch = MetricBatch()
        for (labels, samples) in load.columns.sorted(by: { $0.key < $1.key }) {
            add(labels, samples, to: &batch)
        }
        let body = Snappy.compress(try RemoteWrite2.encode(batch))
        let reply = try exchange(
            port: port, "POST", "/api/v1/write",
            headers: [
                ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
                ("Content-Encoding", "snappy"), ("X-Prometheus-Remote-Write-Version", "2.0.0"),
                tenant,
            ], body: body)
        let written = ["samples", "histograms"].map {
            reply.headers["x-prometheus-remote-write-\($0)-written"] ?? ""
        }
        guard reply.status == 204,
            written == ["\(batch.sampleSeries.count)", "\(batch.histogramSeries.count)"]
        else { throw Mismatch("the load was answered \(reply.status), \(written): \(reply.text)") }
    }

    /// A series of the request holds either floats or histograms, so mixed ones are sent as two.
    private func add(_ labels: Labels, _ samples: SampleColumns, to batch: inout MetricBatch) {
        var floats: UInt32?
        var histograms: UInt32?
        var isAfterHistogram = false
        for i in 0..<samples.count {
            let start = samples.startMillis.isEmpty ? 0 : samples.startMillis[i]
            var histogram = samples.histograms.isEmpty ? nil : samples.histograms[i]
            if histogram == nil, isAfterHistogram, StaleMarker.isStale(samples.values[i]) {
                // The end of a series is sent in the form of what was in it last.
                histogram = NativeHistogram()
                histogram?.sum = StaleMarker.value
            }
            isAfterHistogram = histogram != nil
            if let histogram {
                let series = histograms ?? batch.addSeries(labels)
                histograms = series
                batch.addHistogram(
                    series: series, millis: samples.millis[i], histogram, startMillis: start)
            } else {
                let series = floats ?? batch.addSeries(labels)
                floats = series
                batch.addSample(
                    series: series, millis: samples.millis[i], value: samples.values[i],
                    startMillis: start)
            }
        }
    }

    // MARK: Reading

    package func query(_ text: String, at millis: Int64) throws -> ScriptAnswer {
        try ask("/api/v1/query", [("query", text), ("time", seconds(millis))])
    }

    package func queryRange(
        _ text: String, start: Int64, end: Int64, step: Int64
    ) throws -> ScriptAnswer {
        try ask(
            "/api/v1/query_range",
            [
                ("query", text), ("start", seconds(start)), ("end", seconds(end)),
                ("step", seconds(step)),
            ])
    }

    private func ask(_ path: String, _ parameters: [(String, String)]) throws -> ScriptAnswer {
        let form = parameters.map { $0.0 + "=" + percentEncoded($0.1) }.joined(separator: "&")
        let reply = try exchange(
            port: port, "POST", path,
            headers: [("Content-Type", "application/x-www-form-urlencoded"), tenant],
            body: Array(form.utf8))
        let json = try CorpusJSON(parsing: reply.body)
        if let error = json["error"]?.string { throw Mismatch(error) }
        guard reply.status == 200, let data = json["data"] else {
            throw Mismatch("answered \(reply.status): \(reply.text.prefix(500))")
        }
        return ScriptAnswer(
            value: try value(data), warnings: json["warnings"]?.array.compactMap(\.string) ?? [],
            infos: json["infos"]?.array.compactMap(\.string) ?? [])
    }

    private func value(_ data: CorpusJSON) throws -> ScriptAnswer.Value {
        guard let result = data["result"] else { throw Mismatch("an answer without a result") }
        switch data["resultType"]?.string {
        case "scalar": return .scalar(try number(result.array.last))
        case "string": return .string(result.array.last?.string ?? "")
        case "vector":
            return .vector(
                try result.array.map { (labels($0), try point($0["value"], $0["histogram"]).value) }
            )
        case "matrix":
            return .matrix(
                try result.array.map { series in
                    ScriptAnswer.Series(
                        labels: labels(series),
                        points: try (series["values"]?.array ?? []).map { try point($0, nil) }
                            + (series["histograms"]?.array ?? []).map { try point(nil, $0) })
                })
        case let kind: throw Mismatch("resultType \(kind ?? "missing")")
        }
    }

    private func labels(_ series: CorpusJSON) -> Labels {
        Labels(
            (series["metric"]?.members ?? [:]).map { ($0.key, $0.value.string ?? "") }
                .sorted { Array($0.0.utf8).lexicographicallyPrecedes(Array($1.0.utf8)) })
    }

    private func point(
        _ float: CorpusJSON?, _ histogram: CorpusJSON?
    ) throws -> (millis: Int64, value: ScriptAnswer.Number) {
        guard let pair = (float ?? histogram)?.array, pair.count == 2, let time = pair[0].double
        else { throw Mismatch("a point that is no pair") }
        let millis = Int64((time * 1000).rounded())
        if float != nil { return (millis, .float(try number(pair[1]))) }
        let buckets = try (pair[1]["buckets"]?.array ?? []).map { bucket in
            guard bucket.array.count == 4, let rule = bucket.array[0].int else {
                throw Mismatch("a bucket that has not four parts")
            }
            return ShownHistogram.Bucket(
                rule: Int(rule), lower: try number(bucket.array[1]),
                upper: try number(bucket.array[2]), count: try number(bucket.array[3]))
        }
        return (
            millis,
            .shown(
                ShownHistogram(
                    count: try number(pair[1]["count"]), sum: try number(pair[1]["sum"]),
                    buckets: buckets))
        )
    }

    /// A number as the API writes it: a string.
    private func number(_ json: CorpusJSON?) throws -> Double {
        guard let text = json?.string, let number = parseFloat(text) else {
            throw Mismatch("\(String(describing: json)) where a number must be")
        }
        return number
    }

    private func seconds(_ millis: Int64) -> String {
        let (whole, part) = millis.magnitude.quotientAndRemainder(dividingBy: 1000)
        let digits = String(part)
        return (millis < 0 ? "-" : "") + "\(whole)."
            + String(repeating: "0", count: 3 - digits.count) + digits
    }
}
