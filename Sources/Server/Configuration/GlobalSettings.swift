// SPDX-License-Identifier: Apache-2.0
// The section `global`.

import Base
import Ingest
import Scrape
import Telemetry
import Yams

/// Source: prometheus/prometheus `config/config.go`, `GlobalConfig`.
package struct GlobalSettings: Sendable {
    /// How often rule groups are evaluated that do not say.
    package var evaluationIntervalSeconds = 60.0
    /// How far back rules look that do not say.
    package var ruleQueryOffsetSeconds = 0.0
    /// Added to what leaves this server. References to the environment are filled in.
    package var externalLabels: [(name: String, value: String)] = []
    /// One line per query; empty = none.
    package var queryLogFile = ""
    /// What jobs have that do not say otherwise.
    var scrape = ScrapeConfiguration(jobName: "")
    var nameScheme: NameScheme?
    var escaping: NameEscaping?
    var protocols: [ScrapeProtocol]?

    package init() {}

    /// - Parameter environment: what `${NAME}` in external labels refers to.
    init(
        _ top: inout YAMLSection, in directory: String, _ environment: [String: String]
    ) throws(ConfigurationError) {
        guard var section = try top.section("global") else { return }
        scrape.intervalSeconds =
            try section.duration("scrape_interval") ?? scrape.intervalSeconds
        if scrape.intervalSeconds == 0 { scrape.intervalSeconds = 60 }
        let timeout = try section.duration("scrape_timeout") ?? 0
        scrape.timeoutSeconds =
            timeout > 0 ? timeout : min(scrape.timeoutSeconds, scrape.intervalSeconds)
        guard scrape.timeoutSeconds <= scrape.intervalSeconds else {
            throw section.failure("global scrape timeout greater than scrape interval")
        }
        let evaluation = try section.duration("evaluation_interval") ?? 0
        if evaluation > 0 { evaluationIntervalSeconds = evaluation }
        ruleQueryOffsetSeconds = try section.duration("rule_query_offset") ?? 0
        externalLabels = try section.externalLabels(environment)
        queryLogFile = joinedPath(directory, try section.string("query_log_file") ?? "")
        try section.scrapeLimits(&scrape, in: directory)
        protocols = try section.scrapeProtocols(of: "global section")
        (nameScheme, escaping) = try section.names()
        scrape.tenant = try section.tenant() ?? scrape.tenant
        try section.finish()
    }
}

extension YAMLSection {
    /// Keys that are the same in `global` and in a job, with what the job has so far as default.
    ///
    /// A limit of 0 says nothing: a job cannot take a global one away. Source: prometheus/prometheus
    /// `config/config.go`, `ScrapeConfig.Validate`.
    mutating func scrapeLimits(
        _ job: inout ScrapeConfiguration, in directory: String
    ) throws(ConfigurationError) {
        func limit(_ key: String, _ inherited: Int) throws(ConfigurationError) -> Int {
            guard let own = try int(key), own != 0 else { return inherited }
            return own
        }
        job.sampleLimit = try limit("sample_limit", job.sampleLimit)
        job.targetLimit = try limit("target_limit", job.targetLimit)
        job.labelLimit = try limit("label_limit", job.labelLimit)
        job.labelNameLengthLimit = try limit("label_name_length_limit", job.labelNameLengthLimit)
        job.labelValueLengthLimit = try limit(
            "label_value_length_limit", job.labelValueLengthLimit)
        job.keepDroppedTargets = try limit("keep_dropped_targets", job.keepDroppedTargets)
        if let bytes = try byteSize("body_size_limit"), bytes != 0 {
            job.bodySizeLimitBytes = bytes
        }
        job.extraScrapeMetrics = try bool("extra_scrape_metrics") ?? job.extraScrapeMetrics
        job.histograms.isNative =
            try bool("scrape_native_histograms") ?? job.histograms.isNative
        job.histograms.keepsClassic =
            try bool("always_scrape_classic_histograms") ?? job.histograms.keepsClassic
        job.histograms.convertsClassic =
            try bool("convert_classic_histograms_to_nhcb") ?? job.histograms.convertsClassic
        if let file = try string("scrape_failure_log_file"), !file.isEmpty {
            job.failureLogFile = joinedPath(directory, file)
        }
    }

    /// Our key `tenant`: whose data it is.
    mutating func tenant() throws(ConfigurationError) -> Tenant? {
        guard let name = try string("tenant"), !name.isEmpty else { return nil }
        let tenant = Tenant(name)
        guard tenant.isValid else {
            throw failure("tenant \(quotedText(name)) has characters that are not allowed")
        }
        return tenant
    }

    /// Which names are valid, and how those that are not come from a target.
    mutating func names() throws(ConfigurationError) -> (NameScheme?, NameEscaping?) {
        var scheme: NameScheme?
        if let text = try string("metric_name_validation_scheme"), !text.isEmpty {
            scheme = NameScheme(rawValue: text)
            if scheme == nil {
                throw failure("unrecognized ValidationScheme: \(quotedText(text))")
            }
        }
        var escaping: NameEscaping?
        if let text = try string("metric_name_escaping_scheme"), !text.isEmpty {
            escaping = NameEscaping(rawValue: text)
            if escaping == nil {
                throw failure(
                    "unknown metric name escaping scheme \(quotedText(text)), must be one of: "
                        + NameEscaping.allCases.map(\.rawValue).joined(separator: ", "))
            }
        }
        return (scheme, escaping)
    }

    fileprivate mutating func externalLabels(
        _ environment: [String: String]
    ) throws(ConfigurationError) -> [(name: String, value: String)] {
        guard let value = take("external_labels") else { return [] }
        guard let mapping = value.withMergedKeys.mapping else {
            throw failure("external_labels must be a mapping", value)
        }
        var result: [(name: String, value: String)] = []
        for (key, node) in mapping {
            guard let name = try bytes(key), let text = try bytes(node) else {
                throw failure("external_labels must map names to texts", value)
            }
            guard !name.isEmpty, let label = String(validating: name, as: UTF8.self) else {
                throw failure("\(hexQuoted(name)) is not a valid label name", key)
            }
            guard let template = String(validating: text, as: UTF8.self) else {
                throw failure("\(hexQuoted(text)) is not a valid label value", node)
            }
            let expanded = filledIn(template, environment)
            // A label without a value is none.
            if !expanded.isEmpty { result.append((label, expanded)) }
        }
        return result.sorted { $0.name < $1.name }
    }
}

/// A text with `$NAME` and `${NAME}` replaced by what the environment says, `$$` by `$`.
///
/// Source: Go's `os.Expand`.
func filledIn(_ text: String, _ environment: [String: String]) -> String {
    var result = ""
    var rest = text[...]
    func isNamePart(_ c: Character) -> Bool {
        c.isASCII && (c.isLetter || c.isNumber || c == "_")
    }
    while let dollar = rest.firstIndex(of: "$") {
        result += rest[..<dollar]
        rest = rest[dollar...].dropFirst()
        switch rest.first {
        case "$":
            result += "$"
            rest = rest.dropFirst()
        case "{":
            guard let end = rest.firstIndex(of: "}") else {
                // Without an end it is eaten, as in Go.
                rest = rest.dropFirst()
                continue
            }
            result += environment[String(rest[..<end].dropFirst())] ?? ""
            rest = rest[end...].dropFirst()
        default:
            let name = rest.prefix(while: isNamePart)
            if name.isEmpty {
                result += "$"
            } else {
                result += environment[String(name)] ?? ""
                rest = rest[name.endIndex...]
            }
        }
    }
    return result + rest
}
