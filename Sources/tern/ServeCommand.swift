// SPDX-License-Identifier: Apache-2.0
// `tern serve`.

import ArgumentParser
import Base
import Scrape
import Server
import Shell

/// Value of `--some.flag`, else of `TERN_SOME_FLAG`.
func flagValue(_ given: String?, _ name: String) -> String? {
    if let given { return given }
    let variable =
        "TERN_"
        + name.map { $0 == "." || $0 == "-" ? "_" : $0 }.map(String.init)
        .joined().uppercased()
    return Terminal.environment(variable)
}

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the server.",
        discussion: "Every flag can also be set in the environment: TERN_ and the flag in upper "
            + "case with . and - as _. A flag wins.")

    @Option(name: .customLong("config.file"), help: "A prometheus.yml. None: scrape itself.")
    var configFile: String?
    @Flag(
        name: .customLong("config.auto-reload"),
        help: "Load the configuration when its files have changed.")
    var autoReload = false
    @Option(
        name: .customLong("config.auto-reload-interval"),
        help: "How often its files are looked at (30s).")
    var autoReloadInterval: String?
    @Option(
        name: [.customLong("storage.path"), .customLong("storage.tsdb.path")],
        help: "Data directory, created when absent (./data).")
    var storagePath: String?
    @Option(
        name: [.customLong("storage.retention.time"), .customLong("storage.tsdb.retention.time")],
        help: "How long data is kept (15d).")
    var retentionTime: String?
    @Option(
        name: [.customLong("storage.retention.size"), .customLong("storage.tsdb.retention.size")],
        help: "How many bytes of parts are kept, for example 50GB (no limit).")
    var retentionSize: String?
    @Option(
        name: .customLong("web.listen-address"), help: "HOST:PORT, repeatable (127.0.0.1:4100).")
    var listen: [String] = []
    @Option(
        name: .customLong("otlp.http-listen-address"), help: "HOST:PORT or off (127.0.0.1:4318).")
    var otlpHTTP: String?
    @Option(
        name: .customLong("otlp.grpc-listen-address"), help: "HOST:PORT or off (127.0.0.1:4317).")
    var otlpGRPC: String?
    @Option(
        name: .customLong("graphite.listen-address"),
        help: "HOST:PORT for Graphite lines over TCP and UDP, or off (off).")
    var graphite: String?
    @Option(
        name: .customLong("jaeger.udp-listen-address"),
        help: "HOST:PORT for datagrams of Jaeger's clients, or off (off).")
    var jaegerAgent: String?
    @Option(
        name: .customLong("statsd.listen-address"),
        help: "HOST:PORT for StatsD lines over UDP and TCP, or off (off).")
    var statsD: String?
    @Option(
        name: .customLong("statsd.flush-interval"),
        help: "How often StatsD series are written (10s).")
    var statsDFlush: String?
    @Option(
        name: .customLong("push.interval"),
        help: "How often metrics pushed to /metrics/job are written again (15s).")
    var pushInterval: String?
    @Flag(name: .customLong("web.enable-lifecycle"), help: "Allow POST /-/reload and /-/quit.")
    var enableLifecycle = false
    @Flag(
        name: .customLong("web.enable-admin-api"),
        help: "Allow snapshots and deletions under /api/v1/admin/tsdb.")
    var enableAdminAPI = false
    @Option(
        name: .customLong("web.read-timeout"),
        help: "Longest a client may take to send a request (60s).")
    var readTimeout: String?
    @Option(
        name: .customLong("web.cors.origin"),
        help: "Pattern of origins whose scripts may read answers (.* on Prometheus' paths).")
    var corsOrigin: String?
    @Option(name: .customLong("query.timeout"), help: "Longest a query may run (2m).")
    var queryTimeout: String?
    @Option(name: .customLong("query.max-concurrency"), help: "Queries at once (20).")
    var queryConcurrency: String?
    @Option(name: .customLong("query.max-samples"), help: "Samples one query may read (50000000).")
    var querySamples: String?
    @Option(name: .customLong("query.lookback-delta"), help: "How far back a sample counts (5m).")
    var lookback: String?
    @Option(
        name: .customLong("query.memory-limit"),
        help: "Bytes one query may hold (a quarter of the memory limit).")
    var queryMemory: String?
    @Option(
        name: .customLong("query.log-file"),
        help: "A file that gets a JSON line per query (none).")
    var queryLogFile: String?
    @Option(
        name: .customLong("enable-feature"),
        help: ArgumentHelp(
            "Features to switch on, comma-separated, repeatable: "
                + QueryFeatures.names.joined(separator: ", ") + "."))
    var enableFeature: [String] = []
    @Option(
        name: .customLong("memory.limit"),
        help: "Bytes the process aims to stay below (60 % of the cgroup or machine).")
    var memoryLimit: String?
    @Option(name: .customLong("storage.seal-age"), help: "Age at which heads become parts (5m).")
    var sealAge: String?
    @Option(
        name: .customLong("storage.compaction-interval"),
        help: "How often parts are merged, down-sampled and dropped (15s).")
    var compactionInterval: String?
    @Option(
        name: .customLong("forward.max-bytes"),
        help: "Bytes that may wait on disk for remote_write destinations (4GiB).")
    var forwardBytes: String?
    @Option(
        name: .customLong("forward.max-age"),
        help: "How long samples may wait for remote_write destinations (1d).")
    var forwardAge: String?
    @Option(
        name: .customLong("tenancy"), help: "off, or header: X-Scope-OrgID selects the tenant.")
    var tenancy: String?
    @Option(name: .customLong("log.level"), help: "debug, info, warning or error (info).")
    var logLevel: String?
    @Option(name: .customLong("log.format"), help: "logfmt or json (logfmt).")
    var logFormat: String?

    @OptionGroup var logDoors: LogDoorFlags
    @OptionGroup var rules: RuleFlags

    func run() async throws {
        let options = try self.options()
        let log = try LogOptions(level: options.logLevel, format: options.logFormat)
        do {
            try await TernServer.run(options, log: log)
        } catch {
            Terminal.complain("tern: \(error)")
            throw ExitCode.failure
        }
    }

    private func options() throws -> ServerOptions {
        var options = ServerOptions()
        options.rules = try rules.options()
        options.logDoors = try logDoors.options()
        options.configurationFile = flagValue(configFile, "config.file")
        options.autoReload = autoReload || flagValue(nil, "config.auto-reload") == "true"
        options.autoReloadSeconds =
            try seconds(autoReloadInterval, "config.auto-reload-interval")
            ?? options.autoReloadSeconds
        options.logLevel = flagValue(logLevel, "log.level") ?? options.logLevel
        options.logFormat = flagValue(logFormat, "log.format") ?? options.logFormat
        options.storagePath = flagValue(storagePath, "storage.path") ?? options.storagePath
        options.retentionSeconds = try seconds(retentionTime, "storage.retention.time")
        options.retentionBytes = try bytes(retentionSize, "storage.retention.size")
        let addresses =
            listen.isEmpty
            ? flagValue(nil, "web.listen-address")?.split(separator: ",").map(String.init) ?? []
            : listen
        if !addresses.isEmpty {
            options.listen = try addresses.map { try address($0, "web.listen-address") }
        }
        options.otlpHTTP = try optional(otlpHTTP, "otlp.http-listen-address", options.otlpHTTP)
        options.otlpGRPC = try optional(otlpGRPC, "otlp.grpc-listen-address", options.otlpGRPC)
        options.graphite = try optional(graphite, "graphite.listen-address", nil)
        options.jaegerAgent = try optional(jaegerAgent, "jaeger.udp-listen-address", nil)
        options.statsD = try optional(statsD, "statsd.listen-address", nil)
        options.statsDFlushSeconds =
            try seconds(statsDFlush, "statsd.flush-interval") ?? options.statsDFlushSeconds
        options.pushIntervalSeconds =
            try seconds(pushInterval, "push.interval") ?? options.pushIntervalSeconds
        options.enableLifecycle =
            enableLifecycle || flagValue(nil, "web.enable-lifecycle") == "true"
        options.enableAdminAPI =
            enableAdminAPI || flagValue(nil, "web.enable-admin-api") == "true"
        options.queryLogFile = flagValue(queryLogFile, "query.log-file")
        if let seconds = try seconds(readTimeout, "web.read-timeout") {
            options.setReadTimeout(seconds: seconds)
        }
        options.corsOrigin = try flagValue(corsOrigin, "web.cors.origin").map {
            try RegularExpression($0)
        }
        options.queryTimeoutSeconds =
            try seconds(queryTimeout, "query.timeout") ?? options.queryTimeoutSeconds
        options.queryConcurrency =
            try count(queryConcurrency, "query.max-concurrency") ?? options.queryConcurrency
        options.querySamples = try count(querySamples, "query.max-samples") ?? options.querySamples
        options.lookbackSeconds =
            try seconds(lookback, "query.lookback-delta") ?? options.lookbackSeconds
        let features =
            enableFeature.isEmpty
            ? flagValue(nil, "enable-feature").map { [$0] } ?? [] : enableFeature
        for list in features {
            // Prometheus' earlier way of saying --config.auto-reload.
            let words = list.split(separator: ",").map { $0.filter { $0 != " " } }
            if words.contains("auto-reload-config") { options.autoReload = true }
            let rest = words.filter { $0 != "auto-reload-config" }.joined(separator: ",")
            if let unknown = options.features.enable(rest) {
                throw ValidationError(
                    "--enable-feature does not know \(unknown); it takes "
                        + QueryFeatures.names.joined(separator: ", "))
            }
        }
        options.queryMemoryBytes = try bytes(queryMemory, "query.memory-limit")
        options.memoryLimitBytes = try bytes(memoryLimit, "memory.limit")
        options.sealAgeSeconds =
            try seconds(sealAge, "storage.seal-age") ?? options.sealAgeSeconds
        options.compactionSeconds =
            try seconds(compactionInterval, "storage.compaction-interval")
            ?? options.compactionSeconds
        options.forwardBytes = try bytes(forwardBytes, "forward.max-bytes") ?? options.forwardBytes
        options.forwardAgeSeconds =
            try seconds(forwardAge, "forward.max-age") ?? options.forwardAgeSeconds
        if let text = flagValue(tenancy, "tenancy") {
            guard let value = Tenancy(rawValue: text) else {
                throw ValidationError("--tenancy takes off or header, not \(text)")
            }
            options.tenancy = value
        }
        return options
    }

    private func address(_ text: String, _ flag: String) throws -> ListenAddress {
        guard let address = ListenAddress(text) else {
            throw ValidationError("--\(flag) takes HOST:PORT, not \(text)")
        }
        return address
    }

    private func optional(
        _ given: String?, _ flag: String, _ standard: ListenAddress?
    ) throws -> ListenAddress? {
        guard let text = flagValue(given, flag) else { return standard }
        return text == "off" ? nil : try address(text, flag)
    }

    private func seconds(_ given: String?, _ flag: String) throws -> Double? {
        guard let text = flagValue(given, flag) else { return nil }
        guard let value = parseDurationSeconds(text), value > 0 else {
            throw ValidationError("--\(flag) takes a duration such as 30s, 5m or 15d, not \(text)")
        }
        return value
    }

    private func bytes(_ given: String?, _ flag: String) throws -> Int? {
        guard let text = flagValue(given, flag) else { return nil }
        guard let value = parseByteSize(text), value > 0 else {
            throw ValidationError("--\(flag) takes a size such as 512MB or 10GB, not \(text)")
        }
        return value
    }

    private func count(_ given: String?, _ flag: String) throws -> Int? {
        guard let text = flagValue(given, flag) else { return nil }
        guard let value = Int(text), value > 0 else {
            throw ValidationError("--\(flag) takes a whole number above 0, not \(text)")
        }
        return value
    }
}
