// SPDX-License-Identifier: Apache-2.0
// From a discovered address to a target.

import Base
import Ingest
import Telemetry

/// Something to scrape.
package struct Target: Sendable, Hashable {
    /// Labels before relabelling, with the `__…__` ones.
    package var discovered: Labels
    /// Labels every sample of the target gets.
    package var labels: Labels
    package var url: String
    package var intervalSeconds: Double
    package var timeoutSeconds: Double

    /// Offset of the target's scrapes inside its interval, in nanoseconds: a hash of what it is, so
    /// that targets spread evenly and keep their place over restarts.
    package func offsetNanos(_ intervalNanos: Int64) -> Int64 {
        guard intervalNanos > 0 else { return 0 }
        return Int64(hash64(Array(url.utf8), seed: labels.hash) % UInt64(intervalNanos))
    }
}

/// Builds the targets of a configuration: defaults, relabelling, and the rules of
/// prometheus/prometheus `scrape/target.go`, `PopulateLabels`.
///
/// - Returns: kept targets, without duplicates, and those that relabelling dropped; errors name
///   the address.
package func makeTargets(
    _ configuration: ScrapeConfiguration, groups: [TargetGroup]
) -> (active: [Target], dropped: [Labels], errors: [String]) {
    var active: [Target] = []
    var dropped: [Labels] = []
    var errors: [String] = []
    var seen: Set<Target> = []
    for group in groups {
        for address in group.targets {
            let discovered = discoveredLabels(configuration, group, address)
            guard let relabelled = relabel(discovered, configuration.relabelRules) else {
                dropped.append(discovered)
                continue
            }
            do throws(RelabelError) {
                let target = try makeTarget(configuration, discovered, relabelled)
                if seen.insert(target).inserted { active.append(target) }
            } catch { errors.append("target \(address): \(error)") }
        }
    }
    return (active, dropped, errors)
}

private func discoveredLabels(
    _ configuration: ScrapeConfiguration, _ group: TargetGroup, _ address: String
) -> Labels {
    var builder = LabelsBuilder()
    builder.set("job", configuration.jobName)
    builder.set("__scrape_interval__", durationText(configuration.intervalSeconds))
    builder.set("__scrape_timeout__", durationText(configuration.timeoutSeconds))
    builder.set("__metrics_path__", configuration.metricsPath)
    builder.set("__scheme__", configuration.scheme)
    for parameter in configuration.parameters {
        if let first = parameter.values.first {
            builder.set("__param_" + parameter.name, first)
        }
    }
    for (name, value) in group.labels { builder.set(name, value) }
    builder.set("__address__", address)
    return builder.labels()
}

/// Seconds as the shortest Prometheus duration of whole units.
private func durationText(_ seconds: Double) -> String {
    let millis = Int((seconds * 1000).rounded())
    if millis % 60_000 == 0, millis > 0 { return "\(millis / 60_000)m" }
    return millis % 1000 == 0 ? "\(millis / 1000)s" : "\(millis)ms"
}

private func makeTarget(
    _ configuration: ScrapeConfiguration, _ discovered: Labels, _ relabelled: Labels
) throws(RelabelError) -> Target {
    guard let address = relabelled["__address__"] else { throw RelabelError("no address") }
    guard !address.contains("/") else {
        throw RelabelError("\"\(address)\" is not a valid hostname")
    }
    let scheme = relabelled["__scheme__"] ?? "http"
    guard scheme == "http" || scheme == "https" else {
        throw RelabelError("invalid scheme \"\(scheme)\"")
    }
    var interval = configuration.intervalSeconds
    var timeout = configuration.timeoutSeconds
    if let text = relabelled["__scrape_interval__"] {
        interval = try positive(text, "scrape interval")
    }
    if let text = relabelled["__scrape_timeout__"] {
        timeout = try positive(text, "scrape timeout")
    }
    guard timeout <= interval else {
        throw RelabelError("scrape timeout cannot be greater than scrape interval")
    }
    var builder = LabelsBuilder()
    var query: [String] = []
    for (name, value) in relabelled.pairs {
        if name.hasPrefix("__param_") {
            query.append(
                percentEncoded(String(name.dropFirst(8))) + "=" + percentEncoded(value))
        } else if !name.hasPrefix("__") {
            builder.set(name, value)
        }
    }
    for parameter in configuration.parameters {
        for value in parameter.values.dropFirst() {
            query.append(percentEncoded(parameter.name) + "=" + percentEncoded(value))
        }
    }
    if builder["instance"] == nil { builder.set("instance", address) }
    var path = relabelled["__metrics_path__"] ?? "/metrics"
    if !path.hasPrefix("/") { path = "/" + path }
    let suffix =
        query.isEmpty ? "" : (path.contains("?") ? "&" : "?") + query.joined(separator: "&")
    return Target(
        discovered: discovered, labels: builder.labels(),
        url: "\(scheme)://\(address)\(path)\(suffix)", intervalSeconds: interval,
        timeoutSeconds: timeout)
}

private func positive(_ text: String, _ what: String) throws(RelabelError) -> Double {
    guard let seconds = parseDurationSeconds(text), seconds > 0 else {
        throw RelabelError("error parsing \(what): not a valid duration string: \"\(text)\"")
    }
    return seconds
}

/// A Prometheus duration (`1h30m`, `15s`, `500ms`) in seconds, or nil. Zero is allowed.
package func parseDurationSeconds(_ text: String) -> Double? {
    if text == "0" { return 0 }
    let units: [(name: String, seconds: Double)] = [
        ("y", 31_536_000), ("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1),
        ("ms", 0.001),
    ]
    var rest = Array(text.utf8)[...]
    var total = 0.0
    var lastUnit = -1
    while !rest.isEmpty {
        let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard let number = Double(String(decoding: digits, as: UTF8.self)) else { return nil }
        rest = rest.dropFirst(digits.count)
        let letters = rest.prefix { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        let name = String(decoding: letters, as: UTF8.self)
        guard let unit = units.firstIndex(where: { $0.name == name }), unit > lastUnit else {
            return nil
        }
        lastUnit = unit
        total += number * units[unit].seconds
        rest = rest.dropFirst(letters.count)
    }
    return lastUnit < 0 ? nil : total
}

/// Percent-encodes everything but unreserved characters.
private func percentEncoded(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            out.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            out += "%" + hexText(UInt64(byte), 2).uppercased()
        }
    }
    return out
}
