// SPDX-License-Identifier: Apache-2.0
// Trivy's reports, a line for each finding.

import Base
import Telemetry

/// `trivy … --format json`: vulnerabilities, misconfigurations, secrets and licences.
///
/// A finding's JSON is the line, its severity the level (HIGH counts as error, MEDIUM as warning,
/// LOW as information). Its time is the report's `CreatedAt`, else the arrival. The stream is
/// `job="trivy"` with the artifact; id, package, versions, target and the like are structured
/// metadata too. Source: trivy.dev, "Reporting"; aquasecurity/trivy `pkg/types/report.go`, schema
/// version 2.
package enum TrivyReport {
    package static let mapping: LogRecordMapping = {
        var mapping = LogRecordMapping()
        mapping.streamFields = ["artifact"]
        mapping.messageFields = []
        mapping.timeFields = []
        mapping.labels = [.init("job", "trivy")]
        return mapping
    }()

    /// Lists of findings in a result, and what their members are called in metadata.
    private static let lists: [StaticString] = [
        "Vulnerabilities", "Misconfigurations", "Secrets", "Licenses",
    ]
    private static let lifted: [(member: StaticString, name: StaticString)] = [
        ("VulnerabilityID", "id"), ("ID", "id"), ("RuleID", "id"), ("Severity", "severity"),
        ("Title", "title"), ("PkgName", "package"), ("InstalledVersion", "installed_version"),
        ("FixedVersion", "fixed_version"), ("Status", "status"), ("Category", "category"),
        ("Name", "name"), ("PrimaryURL", "url"),
    ]

    /// - Throws: `MalformedJSON` when the body is no report; `MalformedBytes` when its findings take
    ///   more memory than the limits allow.
    package static func decode(
        _ body: UnsafeRawBufferPointer, _ mapping: LogRecordMapping, receivedNanos: Int64,
        limits: LogLimits = LogLimits()
    ) throws -> DecodedLogs {
        var assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
        var reader = JSONReader(body, maxDepth: RecordAssembly.maxDepth)
        var results: JSONReader?
        var nanos = receivedNanos
        var artifact = Texts(), isReport = false
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key.equals("SchemaVersion") { isReport = true }
            if key.equals("Results"), try reader.peek() == .array { results = reader }
            if try reader.peek() == .string {
                if key.equals("CreatedAt") {
                    nanos = RecordTime.nanos(try reader.string().raw) ?? receivedNanos
                    continue
                }
                if key.equals("ArtifactName") {
                    artifact.add("artifact", try reader.string())
                    continue
                }
                if key.equals("ArtifactType") {
                    artifact.add("artifact_type", try reader.string())
                    continue
                }
            }
            try reader.skipValue()
        }
        try reader.end()
        guard isReport else { throw reader.malformed("a report with SchemaVersion and Results") }
        guard var results else { return assembly.logs.result }
        try results.beginArray()
        while try results.nextElement() {
            try decodeResult(&results, nanos, artifact, &assembly)
        }
        return assembly.logs.result
    }

    /// Names with texts that many findings share.
    private struct Texts {
        var pairs: [(name: StaticString, value: [UInt8])] = []

        mutating func add(_ name: StaticString, _ text: JSONText) {
            var value: [UInt8] = []
            text.append(to: &value)
            pairs.append((name, value))
        }
    }

    private static func decodeResult(
        _ reader: inout JSONReader, _ nanos: Int64, _ artifact: Texts,
        _ assembly: inout RecordAssembly
    ) throws {
        var shared = artifact
        var found: [JSONReader] = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let kind = try reader.peek()
            if kind == .array, lists.contains(where: { key.equals($0) }) {
                found.append(reader)
            } else if kind == .string, key.equals("Target") {
                shared.add("target", try reader.string())
                continue
            } else if kind == .string, key.equals("Class") {
                shared.add("class", try reader.string())
                continue
            } else if kind == .string, key.equals("Type") {
                shared.add("type", try reader.string())
                continue
            }
            try reader.skipValue()
        }
        for var list in found {
            try list.beginArray()
            while try list.nextElement() {
                try decodeFinding(&list, nanos, shared, &assembly)
                try assembly.checkSize()
            }
        }
    }

    private static func decodeFinding(
        _ reader: inout JSONReader, _ nanos: Int64, _ shared: Texts,
        _ assembly: inout RecordAssembly
    ) throws(MalformedJSON) {
        var members = reader
        let text = try reader.skipValue()
        assembly.begin()
        for pair in shared.pairs {
            pair.value.withUnsafeBytes { assembly.add(pair.name, $0) }
        }
        var level: LogLevel?
        var scratch: [UInt8] = []
        try members.beginObject()
        while let key = try members.nextKey() {
            guard try members.peek() == .string,
                let field = lifted.first(where: { key.equals($0.member) })
            else {
                try members.skipValue()
                continue
            }
            let value = try members.string()
            if key.equals("Severity") { level = self.level(value) }
            value.withBytes(scratch: &scratch) { assembly.add(field.name, $0) }
        }
        _ = assembly.endRecord(nanos: nanos, level: level) { appendCompactJSON(text, to: &$0) }
    }

    private static func level(_ severity: JSONText) -> LogLevel {
        switch severity.string.uppercased() {
        case "CRITICAL": .critical
        case "HIGH": .error
        case "MEDIUM": .warn
        case "LOW": .info
        default: .unknown
        }
    }
}
