// SPDX-License-Identifier: Apache-2.0
// One fault of the corpus as telemetry.

import Base
import Telemetry
import TestKit

/// Label of a fault.
struct Fault {
    var day: String
    var id: String
    var service: String
    var type: String
    var injectNanos: Int64
    /// Names of its minutes, as files are called.
    var minutes: [String]
    var codeLines: [String]

    init?(_ json: CorpusJSON, day: String) {
        guard case .object(let fields) = json, case .string(let id)? = fields["id"],
            case .string(let service)? = fields["service"],
            case .string(let type)? = fields["type"],
            case .string(let time)? = fields["inject_time"],
            case .array(let minutes)? = fields["minutes"]
        else { return nil }
        func strings(_ values: [CorpusJSON]) -> [String] {
            values.compactMap { if case .string(let text) = $0 { text } else { nil } }
        }
        self.day = day
        self.id = id
        self.service = service
        self.type = type
        injectNanos = nanos(time.replacing("T", with: " ").replacing("Z", with: ""))
        self.minutes = strings(minutes).map { $0.replacing(":", with: "_") }
        if case .array(let lines)? = fields["codeLines"] {
            codeLines = strings(lines)
        } else {
            codeLines = []
        }
    }

    /// Faults of a day, and its fault-free minute.
    static func all(of day: String) throws -> (faults: [Fault], normal: String) {
        guard let bytes = Corpora.file("incidents/\(day)/faults.json"),
            case .object(let fields) = try CorpusJSON(parsing: bytes),
            case .array(let faults)? = fields["faults"],
            case .object(let normal)? = fields["normal"],
            case .string(let minute)? = normal["minute"]
        else { return ([], "") }
        return (
            faults.compactMap { Fault($0, day: day) }, minute.replacing(":", with: "_")
        )
    }
}

/// `2023-01-29 08:43:04…` in UTC, to the second.
func nanos(_ text: String) -> Int64 {
    let numbers = text.prefix(19).split { !$0.isNumber }.compactMap { Int64($0) }
    guard numbers.count == 6 else { return 0 }
    // Days from civil: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let y = numbers[1] <= 2 ? numbers[0] - 1 : numbers[0]
    let era = y / 400, yoe = y - era * 400
    let doy = (153 * (numbers[1] + (numbers[1] > 2 ? -3 : 9)) + 2) / 5 + numbers[2] - 1
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
    return (((days * 24 + numbers[3]) * 60 + numbers[4]) * 60 + numbers[5]) * 1_000_000_000
}

/// What an archive holds, as agents would send it.
struct Recording {
    var spans: [String: SpanBatch] = [:]
    var logs: [String: LogBatch] = [:]
    var metrics = MetricBatch()

    /// - Parameter name: of the archive, below the day.
    init(day: String, name: String) throws {
        guard let archive = try Archive(corpusFile: "incidents/\(day)/\(name).tar.zst") else {
            return
        }
        for (file, header, rows) in archive.rows(in: "trace") {
            spans[minute(file)] = spanBatch(header, rows)
        }
        for (file, header, rows) in archive.rows(in: "log") {
            logs[minute(file)] = logBatch(header, rows)
        }
        for (file, header, rows) in archive.rows(in: "metric") where file.hasSuffix("pods.csv") {
            addMetrics(header, rows)
        }
    }

    /// From the injection to the end of the last minute.
    static func window(_ fault: Fault) -> NanosRange {
        let minute = fault.minutes.last?.split(separator: "_").compactMap { Int64($0) } ?? []
        let day = nanos(fault.day + " 00:00:00")
        let last = minute.count == 2 ? (minute[0] * 60 + minute[1] + 1) * 60 : 0
        return NanosRange(
            first: Nanos(fault.injectNanos), last: Nanos(day + last * 1_000_000_000))
    }

    /// First and last time of the minutes.
    func range(_ minutes: some Sequence<String>) -> NanosRange {
        var first = Int64.max, last = Int64.min
        for minute in minutes {
            for nanos in [spans[minute]?.startNanos, logs[minute]?.nanos].compactMap({ $0 }) {
                first = min(first, nanos.min() ?? first)
                last = max(last, nanos.max() ?? last)
            }
        }
        return NanosRange(first: Nanos(first), last: Nanos(last))
    }

    private func minute(_ file: String) -> String {
        String(file.split(separator: "/").last?.dropLast(4) ?? "")
    }

    /// Kinds as OpenTelemetry's Java agent gives them to spans with such names: the export left
    /// them out.
    private func kind(_ operation: String) -> UInt8 {
        if operation.hasPrefix("/") { return 2 }
        for verb in ["HTTP ", "SELECT ", "INSERT ", "UPDATE ", "DELETE "]
        where operation.hasPrefix(verb) {
            return 3
        }
        return 1
    }

    private func spanBatch(_ header: [String], _ rows: [[String]]) -> SpanBatch {
        var batch = SpanBatch()
        batch.scopes.append(SpanBatch.Scope())
        var resources: [String: UInt32] = [:]
        for row in rows where row.count >= 8 {
            let pod = row[3]
            let service = workload(pod)
            if resources[pod] == nil {
                var writer = ByteWriter()
                AttributeCoding.encode("service.name", .string(service), into: &writer)
                AttributeCoding.encode("k8s.pod.name", .string(pod), into: &writer)
                var resource = SpanBatch.Resource()
                resource.attributes = writer.bytes.withUnsafeBytes { batch.arena.keep($0) }
                resource.serviceName = batch.arena.keep(service)
                resources[pod] = UInt32(batch.resources.count)
                batch.resources.append(resource)
            }
            var span = SpanRow()
            span.traceID = TraceID(hex: row[0]) ?? .zero
            span.spanID = SpanID(hex: row[1]) ?? .zero
            span.parentID = SpanID(hex: row[2]) ?? .zero
            span.resource = resources[pod] ?? 0
            span.name = batch.arena.keep(row[4])
            span.kind = kind(row[4])
            span.startNanos = Int64(row[5]) ?? 0
            span.endNanos = Int64(row[6]) ?? 0
            batch.add(span)
        }
        return batch
    }

    private func logBatch(_ header: [String], _ rows: [[String]]) -> LogBatch {
        var batch = LogBatch()
        var streams: [String: UInt32] = [:]
        for row in rows where row.count >= 8 {
            guard let time = Int64(row[1]) else { continue }
            let pod = row[3]
            let stream: UInt32
            if let known = streams[pod] {
                stream = known
            } else {
                // What Promtail's Kubernetes discovery gives a stream.
                stream = batch.addStream(
                    Labels([("app", workload(pod)), ("pod", pod), ("container", row[4])]))
                streams[pod] = stream
            }
            // The runtime's wrapping is taken off, as Promtail's `docker` stage does.
            // A few were cut and are no JSON: they go as they are.
            var text = row[7]
            if let json = try? CorpusJSON(parsing: Array(text.utf8)),
                case .object(let fields) = json,
                case .string(let log)? = fields["log"]
            {
                text = log
            }
            let line = text.hasSuffix("\n") ? String(text.dropLast()) : text
            batch.addRow(stream: stream, nanos: time, line: batch.arena.keep(line))
        }
        return batch
    }

    private mutating func addMetrics(_ header: [String], _ rows: [[String]]) {
        guard let pod = header.firstIndex(of: "PodName"),
            let time = header.firstIndex(of: "TimeStamp")
        else { return }
        var series: [String: UInt32] = [:]
        for row in rows where row.count == header.count {
            guard let seconds = Int64(row[time]) else { continue }
            for (column, title) in header.enumerated() where column != pod {
                guard title != "Time", title != "TimeStamp", let value = Double(row[column]),
                    value.isFinite
                else { continue }
                let key = title + row[pod]
                let number: UInt32
                if let known = series[key] {
                    number = known
                } else {
                    number = metrics.addSeries(
                        Labels([("__name__", metricName(title)), ("pod", row[pod])]))
                    series[key] = number
                }
                metrics.addSample(series: number, millis: seconds * 1000, value: value)
            }
        }
    }
}

/// A pod's name without its hashes.
private func workload(_ pod: String) -> String {
    pod.split(separator: "-").dropLast(2).joined(separator: "-")
}

/// A column's title as an exporter would name the metric: `CpuUsage(m)` is
/// `pod_cpu_usage_millicores`.
private func metricName(_ title: String) -> String {
    let units = [
        "m": "millicores", "%": "percent", "Mi": "mebibytes", "s": "seconds",
        "Ops": "operations_per_second", "ms": "milliseconds",
    ]
    var name = ""
    let parts = title.split(separator: "(")
    for character in parts.first ?? "" {
        if character.isUppercase, !name.isEmpty, name.last?.isNumber != true { name += "_" }
        name += character.lowercased()
    }
    if !name.hasPrefix("pod_"), !name.hasPrefix("node_") { name = "pod_" + name }
    if parts.count > 1, let unit = units[String(parts[1].dropLast())] { name += "_" + unit }
    return name
}
