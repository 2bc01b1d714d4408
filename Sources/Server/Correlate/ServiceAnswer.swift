// SPDX-License-Identifier: Apache-2.0
// Services as JSON.

import Base
import Correlation
import Telemetry

/// What `correlate/service/{name}` answers.
struct ServiceAnswer {
    let detail: ServiceDetail
    /// Whether the answer tells how the service got its names.
    let explains: Bool
    let recent: [TraceSummary]
    let errors: [TraceSummary]
    let slow: [TraceSummary]

    /// Most entries of each list.
    static let limit = 10_000

    /// One sentence per list that is longer than the limit.
    var cuts: [String] {
        [
            ("instances", detail.instances.count), ("spanNames", detail.spanNames.count),
            ("metricNames", detail.metricNames.count),
            ("streams", detail.streams.count), ("operations", detail.operations.count),
            ("identity", explains ? detail.identity.count : 0),
        ].compactMap { name, count in
            count > ServiceAnswer.limit
                ? "\(name): the first \(ServiceAnswer.limit) of \(count) are shown" : nil
        }
    }

    func write(into json: inout JSONWriter) {
        json.beginObject()
        writeSummary(detail.summary, into: &json)
        writeTexts("instances", detail.instances.prefix(ServiceAnswer.limit), into: &json)
        writeTexts("spanNames", detail.spanNames.prefix(ServiceAnswer.limit), into: &json)
        writeTexts("metricNames", detail.metricNames.prefix(ServiceAnswer.limit), into: &json)
        writeLabelSets("streams", detail.streams.prefix(ServiceAnswer.limit), into: &json)
        writeOperations(into: &json)
        writeEdges("upstream", detail.upstream, into: &json)
        writeEdges("downstream", detail.downstream, into: &json)
        json.key("versions")
        json.beginArray()
        for version in detail.versions {
            json.beginObject()
            json.member("version", version.version)
            json.member("firstSeenUnixNano", String(version.firstSeenNanos))
            json.endObject()
        }
        json.endArray()
        writeTraces(recent, as: "recentTraces", into: &json)
        writeTraces(errors, as: "errorTraces", into: &json)
        writeTraces(slow, as: "slowTraces", into: &json)
        if explains { writeIdentity(into: &json) }
        json.endObject()
    }

    private func writeOperations(into json: inout JSONWriter) {
        json.key("operations")
        json.beginArray()
        for operation in detail.operations.prefix(ServiceAnswer.limit) {
            json.beginObject()
            json.member("name", operation.name)
            json.member("kind", spanKindName(operation.kind))
            json.member("count", Int(clamping: operation.count))
            json.member("errorCount", Int(clamping: operation.errorCount))
            json.member("p50Nanos", String(operation.p50Nanos))
            json.member("p95Nanos", String(operation.p95Nanos))
            json.member("p99Nanos", String(operation.p99Nanos))
            json.endObject()
        }
        json.endArray()
    }

    private func writeEdges(
        _ name: String, _ edges: [ServiceEdge], into json: inout JSONWriter
    ) {
        json.key(name)
        json.beginArray()
        for edge in edges {
            json.beginObject()
            json.member("service", edge.service)
            json.member("callCount", Int(clamping: edge.callCount))
            json.member("errorCount", Int(clamping: edge.errorCount))
            json.member("p95Nanos", String(edge.p95Nanos))
            json.endObject()
        }
        json.endArray()
    }

    private func writeIdentity(into json: inout JSONWriter) {
        json.key("identity")
        json.beginArray()
        for alias in detail.identity.prefix(ServiceAnswer.limit) {
            json.beginObject()
            json.member("alias", alias.alias)
            json.member("source", alias.source)
            json.member("rule", alias.ruleName)
            if let foundBy = alias.foundBy { json.member("foundBy", foundBy) }
            json.endObject()
        }
        json.endArray()
    }
}

/// Writes the members of a row of `correlate/services`.
func writeSummary(_ service: ServiceSummary, into json: inout JSONWriter) {
    json.member("name", service.name)
    json.member("namespace", service.namespace ?? "")
    writeTexts("aliases", service.aliases, into: &json)
    json.member("spanCount", Int(clamping: service.spanCount))
    json.member("errorCount", Int(clamping: service.errorCount))
    json.member("p50Nanos", String(service.p50Nanos))
    json.member("p95Nanos", String(service.p95Nanos))
    json.member("p99Nanos", String(service.p99Nanos))
    json.member("logLineCount", Int(clamping: service.logLineCount))
    json.member("errorLogLineCount", Int(clamping: service.errorLogLineCount))
    json.member("seriesCount", service.seriesCount)
    json.member("lastSeenUnixNano", String(service.lastSeenNanos))
}

func writeTexts(
    _ name: String, _ texts: some Sequence<String>, into json: inout JSONWriter
) {
    json.key(name)
    json.beginArray()
    for text in texts { json.string(text) }
    json.endArray()
}

/// Writes `name: [{labels}, …]`.
func writeLabelSets(
    _ name: String, _ sets: some Sequence<Labels>, into json: inout JSONWriter
) {
    json.key(name)
    json.beginArray()
    for labels in sets {
        json.beginObject()
        json.key("labels")
        writeLabels(labels, into: &json)
        json.endObject()
    }
    json.endArray()
}

/// OTLP's span kind as a word.
func spanKindName(_ kind: UInt8) -> String {
    let names = ["unspecified", "internal", "server", "client", "producer", "consumer"]
    return Int(kind) < names.count ? names[Int(kind)] : names[0]
}
