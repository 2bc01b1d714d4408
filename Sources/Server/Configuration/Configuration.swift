// SPDX-License-Identifier: Apache-2.0
// The configuration file: what Prometheus accepts, plus our sections.

import Base
import Correlation
import FoundationEssentials
import Ingest
import Rules
import Scrape
import Telemetry
import Wire
import Yams

/// A loaded configuration. Immutable; a reload makes a new one and swaps it whole.
package struct Configuration: Sendable {
    package var global = GlobalSettings()
    /// All jobs, those of `scrape_config_files` last.
    package var scrapes: [ScrapeConfiguration] = []
    /// Paths with patterns, relative ones taken from the file's folder.
    package var ruleFiles: [String] = []
    /// The same for `scrape_config_files`, whose jobs are among `scrapes`.
    package var scrapeFiles: [String] = []
    /// What those files held when they were read, for `scrape_pools/config`.
    package var scrapeFileTexts: [String] = []
    /// The groups of all rule files, read with the configuration.
    package var ruleGroups: [RuleGroupDefinition] = []
    package var alerting = AlertingSettings()
    package var remoteWrites: [RemoteWriteSettings] = []
    package var remoteReads: [RemoteReadSettings] = []
    package var storage = StorageSettings()
    package var otlp = OTLPSettings()
    package var tracing: TracingSettings?
    /// Our section `limits`.
    package var limits = TenantLimitTable()
    /// Its keys for lines and streams of logs.
    var lineLimits = LogLineLimits.Table()
    /// What is added to log lines.
    package var logs = LogEnrichment()
    /// Our section `span_metrics`.
    package var spanMetrics = SpanMetricsSettings()
    /// Our section `correlation`; nil = nothing is overridden.
    package var identities: IdentityOverrides?
    /// Notes for the operator: accepted, but without effect, and why.
    package var notes: [String] = []
    /// The text it was read from, for `status/config`.
    package var text = ""

    package var externalLabels: [(name: String, value: String)] { global.externalLabels }

    package init() {}

    /// What the server runs without a file: scrape itself.
    package static func embedded(address: String) -> Configuration {
        var configuration = Configuration()
        var job = ScrapeConfiguration(jobName: "tern")
        job.intervalSeconds = 15
        job.groups = [TargetGroup(targets: [address])]
        // Who starts a server and asks it something shall have an answer.
        job.scrapesOnStart = true
        configuration.scrapes = [job]
        configuration.text =
            "scrape_configs:\n  - job_name: tern\n    scrape_interval: 15s\n"
            + "    static_configs:\n      - targets: [\"\(address)\"]\n"
        return configuration
    }

    /// Parses a file's text, and reads what its `scrape_config_files` name.
    ///
    /// - Parameters:
    ///   - directory: folder that relative file names are taken from.
    ///   - environment: what `${NAME}` in external labels refers to.
    /// - Throws: `ConfigurationError` with line and remedy; nothing is half applied.
    package static func parse(
        _ text: String, in directory: String = "",
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> Configuration {
        var configuration = Configuration()
        configuration.text = text
        let (first, hasMore) = try document(text)
        if hasMore { configuration.notes.append("only the first YAML document is used") }
        guard var top = first else { return configuration }
        configuration.global = try GlobalSettings(&top, in: directory, environment)
        var context = ConfigurationContext(directory: directory, global: configuration.global)
        for section in try top.sections(
            "scrape_configs", ifNull: "empty or null scrape config section")
        {
            configuration.scrapes.append(try scrapeJob(section, &context))
        }
        try checkNames(configuration.scrapes.map(\.jobName), "scrape")
        configuration.scrapeFiles = try top.filePatterns(
            "scrape_config_files", "scrape config", directory)
        configuration.ruleFiles = try top.filePatterns("rule_files", "rule", directory)
        if var section = try top.section("alerting") {
            configuration.alerting = try AlertingSettings(&section, &context)
        }
        for section in try top.sections(
            "remote_write", ifNull: "empty or null remote write config section")
        {
            configuration.remoteWrites.append(
                try RemoteWriteSettings(section, in: directory, context.names))
        }
        try checkNames(configuration.remoteWrites.map(\.name), "remote write")
        for section in try top.sections(
            "remote_read", ifNull: "empty or null remote read config section")
        {
            configuration.remoteReads.append(try RemoteReadSettings(section, in: directory))
        }
        try checkNames(configuration.remoteReads.map(\.name), "remote read")
        if var section = try top.section("storage") {
            configuration.storage = try StorageSettings(&section)
        }
        try configuration.readLimits(&top)
        try configuration.readLogs(&top)
        try configuration.readSpanMetrics(&top)
        try configuration.readCorrelation(&top)
        if var section = try top.section("otlp") {
            configuration.otlp = try OTLPSettings(&section, context.names)
        }
        if var section = try top.section("tracing") {
            configuration.tracing = try TracingSettings(&section, in: directory)
        }
        if var section = try top.section("runtime") {
            if try section.int("gogc") != nil {
                configuration.notes.append("runtime.gogc: without effect, nothing here is Go")
            }
            try section.finish()
        }
        try top.finish()
        try configuration.readScrapeFiles(&context)
        try refuse(context.unsupported)
        configuration.noteWhatIsUnused()
        return configuration
    }

    /// The top of the first document; nil when it is empty.
    ///
    /// - Returns: also whether there are further documents. Those are left out, as in Prometheus.
    private static func document(
        _ text: String
    ) throws(ConfigurationError) -> (top: YAMLSection?, hasMore: Bool) {
        let root: Node?
        let hasMore: Bool
        do {
            var documents = try Yams.compose_all(yaml: text)
            root = documents.next()
            // Iterating ends at a fault and keeps it to itself.
            if let error = documents.error { throw error }
            hasMore = root != nil && (documents.next() != nil || documents.error != nil)
        } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
            throw ConfigurationError(
                "field \(keys.first ?? "") already set, and set again below",
                line: context.mark.line)
        } catch {
            throw ConfigurationError("not valid YAML: \(error)")
        }
        guard let root, root.null == nil else { return (nil, hasMore) }
        return (try YAMLSection(root, "the configuration"), hasMore)
    }

    /// Names, where given, must differ.
    private static func checkNames(
        _ names: [String], _ kind: String
    ) throws(ConfigurationError) {
        var seen: Set<String> = []
        for name in names where !name.isEmpty && !seen.insert(name).inserted {
            throw ConfigurationError(
                "found multiple \(kind) configs with job name \(quotedText(name))")
        }
    }

    /// Adds the jobs of other files, which hold `scrape_configs` alone.
    private mutating func readScrapeFiles(
        _ context: inout ConfigurationContext
    ) throws {
        for path in scrapeFiles.flatMap({ FilePattern.files($0, in: "") }) {
            do {
                let text = try fileText(path)
                guard var top = try Self.document(text).top else { continue }
                scrapeFileTexts.append(text)
                let sections = try top.sections(
                    "scrape_configs", ifNull: "empty or null scrape config section")
                try top.finish()
                for section in sections {
                    let job = try scrapeJob(section, &context)
                    try Self.checkNames(scrapes.map(\.jobName) + [job.jobName], "scrape")
                    scrapes.append(job)
                }
            } catch {
                throw ConfigurationError("parsing YAML file \(path): \(error)")
            }
        }
    }

    /// Tells all that cannot be done at once.
    private static func refuse(_ faults: [ConfigurationError]) throws(ConfigurationError) {
        guard let first = faults.first else { return }
        if faults.count == 1 { throw first }
        throw ConfigurationError(faults.map(\.description).joined(separator: "; "))
    }
}

/// The text of a configuration file, at most 64 MiB.
func fileText(_ path: String) throws(ConfigurationError) -> String {
    let files = LocalFileSystem()
    do throws(FileError) {
        guard let size = try files.size(path) else {
            throw FileError(.read, path, code: FileError.missing)
        }
        if size <= 64 << 20 { return String(decoding: try files.readAll(path), as: UTF8.self) }
    } catch { throw ConfigurationError("\(error)") }
    throw ConfigurationError("\(path) has more than 64 MiB")
}

extension YAMLSection {
    /// Paths of which the last part may have a pattern that starts with `*`, made absolute as far
    /// as `directory` is.
    fileprivate mutating func filePatterns(
        _ key: String, _ what: String, _ directory: String
    ) throws(ConfigurationError) -> [String] {
        let patterns = try strings(key) ?? []
        for pattern in patterns {
            if let star = pattern.firstIndex(of: "*"), pattern[star...].contains("/") {
                throw failure("invalid \(what) file path \(quotedText(pattern))")
            }
        }
        return patterns.map { joinedPath(directory, $0) }
    }
}
