// SPDX-License-Identifier: Apache-2.0
// Targets, configuration and reload as clients see them.

import Base
import FoundationEssentials
import HTTPTypes
import Ingest
import Logging
import Scrape
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Server

/// Answers every request with the same page.
private struct PageFetcher: ScrapeFetching {
    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        let page = "# TYPE a gauge\n# HELP a text\na 1\n"
        return ScrapeAnswer(status: 200, contentType: "text/plain", body: Array(page.utf8))
    }
}

/// Counts what it is given.
private final class CountingSink: ScrapeSink {
    private let state = Mutex(0)
    var count: Int { state.withLock { $0 } }
    func write(
        metrics: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport {
        state.withLock { $0 += 1 }
        return MetricWriteReport()
    }
}

extension String {
    fileprivate func write(to file: String) throws {
        guard FileManager.default.createFile(atPath: file, contents: Data(utf8)) else {
            throw ConfigurationError("cannot write \(file)")
        }
    }
}

private func eventually(_ condition: () -> Bool) async -> Bool {
    // A millisecond of rest leaves the cores to those who are waited for.
    for _ in 0..<30_000 {
        if condition() { return true }
        do { try await SystemClock().sleep(seconds: 0.001) } catch { return false }
    }
    return condition()
}

/// A configuration file and what it sets going.
private struct Fixture {
    let directory: String
    let file: String
    let scraping: Scraping
    let sink = CountingSink()
    let clock = ManualClock()

    init(_ text: String?, _ change: (inout ServerOptions) -> Void = { _ in }) throws {
        directory =
            FileManager.default.temporaryDirectory.path + "/tern-scraping-"
            + hexText(SystemRandom().next(), 16)
        file = directory + "/tern.yml"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        var options = ServerOptions()
        if let text {
            try text.write(to: file)
            options.configurationFile = file
        }
        change(&options)
        let configuration = try options.configurationFile.map { try loadConfiguration($0) }
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        scraping = Scraping(options, configuration, logger, clock)
    }

    func write(_ text: String) throws { try text.write(to: file) }

    func start() {
        scraping.open(sink, fetcher: PageFetcher())
        scraping.listening(on: ListenAddress(host: "0.0.0.0", port: 4711))
        // Another listener changes nothing.
        scraping.listening(on: ListenAddress(host: "127.0.0.1", port: 4712))
    }

    func remove() async throws {
        await scraping.scraper?.shutDown()
        try FileManager.default.removeItem(atPath: directory)
    }

    /// Status and body of a request by its route.
    func call(
        _ path: String, _ method: HTTPRequest.Method = .get,
        _ parameters: [(name: String, value: String)] = []
    ) async throws -> (status: Int, text: String) {
        let routes = ScrapingEndpoints(scraping: scraping).routes()
        let route = try #require(
            routes.first { $0.path == path && $0.methods.contains(method) }, "\(method) \(path)")
        let request = APIRequest(method: method, path: path, parameters: parameters)
        let response: APIResponse
        do { response = try await route.handler(request) } catch let error as APIError {
            response = route.shape.response(error, to: request)
        }
        return (response.status.code, String(decoding: response.body, as: UTF8.self))
    }
}

private let twoJobs = """
    scrape_configs:
      - job_name: b
        scrape_interval: 90s
        basic_auth: {username: u, password: s3cret}
        static_configs: [{targets: ["h:1", "h:2"], labels: {zone: z}}]
        relabel_configs: [{source_labels: [__address__], regex: "h:2", action: drop}]
      # A comment.
      - job_name: a
        scrape_interval: 10s
        static_configs: [{targets: ["localhost:9"]}]
    """

@Test func withoutAFileTheServerScrapesItself() async throws {
    let fixture = try Fixture(nil)
    #expect(fixture.scraping.scraper == nil)
    fixture.start()
    let target = try #require(fixture.scraping.scraper?.activeTargets.first)
    #expect(target.pool == "tern")
    #expect(target.target.url == "http://127.0.0.1:4711/metrics")
    #expect(target.target.intervalSeconds == 15)
    try await fixture.scraping.reload()
    #expect(fixture.scraping.scraper?.activeTargets.count == 1)
    try await fixture.remove()
}

@Test func relabellingIsShownStepByStep() async throws {
    let fixture = try Fixture(
        """
        scrape_configs:
          - job_name: b
            static_configs: [{targets: ["h:1"]}]
            relabel_configs:
              - {source_labels: [__address__], regex: "(.*):1", target_label: host}
              - {source_labels: [host, job], separator: "/", regex: "h/t", action: drop}
              - {regex: "job", action: labeldrop}
        """)
    let path = "/api/v1/targets/relabel_steps"
    let kept = try await fixture.call(
        path, .get, [("scrapePool", "b"), ("labels", #"{"job":"x","__address__":"h:1"}"#)])
    #expect(
        kept.text == #"""
            {"status":"success","data":{"steps":[\#
            {"rule":{"sourceLabels":["__address__"],"separator":";","regex":"(.*):1",\#
            "targetLabel":"host","replacement":"$1","action":"replace"},\#
            "output":{"__address__":"h:1","host":"h","job":"x"},"keep":true},\#
            {"rule":{"sourceLabels":["host","job"],"separator":"/","regex":"h/t",\#
            "replacement":"$1","action":"drop"},\#
            "output":{"__address__":"h:1","host":"h","job":"x"},"keep":true},\#
            {"rule":{"separator":";","regex":"job","replacement":"$1","action":"labeldrop"},\#
            "output":{"__address__":"h:1","host":"h"},"keep":true}]}}
            """#)
    let dropped = try await fixture.call(
        path, .get, [("scrapePool", "b"), ("labels", #"{"job":"t","__address__":"h:1"}"#)])
    #expect(dropped.text.hasSuffix(#""output":{},"keep":false}]}}"#))
    for (parameters, fault) in [
        ([], "no scrapePool parameter provided"),
        ([("scrapePool", "b")], "no labels parameter provided"),
        ([("scrapePool", "c"), ("labels", "{}")], #"unknown scrape pool \"c\""#),
        ([("scrapePool", "b"), ("labels", #"{"a":1}"#)], "a JSON object of strings is expected"),
        ([("scrapePool", "b"), ("labels", "[")], "error parsing labels: "),
    ] as [([(name: String, value: String)], String)] {
        let refused = try await fixture.call(path, .get, parameters)
        #expect(refused.status == 400 && refused.text.contains(fault), "\(refused.text)")
    }
    try await fixture.remove()
}

@Test func targetsHavePrometheusShape() async throws {
    let fixture = try Fixture(twoJobs)
    let empty = try await fixture.call("/api/v1/targets")
    #expect(
        empty.text == "{\"status\":\"success\",\"data\":{\"activeTargets\":[],"
            + "\"droppedTargets\":[],\"droppedTargetCounts\":{}}}")
    fixture.start()
    let before = try await fixture.call("/api/v1/targets", .get, [("scrapePool", "b")])
    #expect(
        before.text == """
            {"status":"success","data":{"activeTargets":[{"discoveredLabels":{"__address__":"h:1",\
            "__always_scrape_classic_histograms__":"false",\
            "__convert_classic_histograms_to_nhcb__":"false",\
            "__metrics_path__":"/metrics","__scheme__":"http","__scrape_interval__":"1m30s",\
            "__scrape_native_histograms__":"false",\
            "__scrape_timeout__":"10s","job":"b","zone":"z"},"labels":{"instance":"h:1","job":"b",\
            "zone":"z"},"scrapePool":"b","scrapeUrl":"http://h:1/metrics",\
            "globalUrl":"http://h:1/metrics","lastError":"","lastScrape":"0001-01-01T00:00:00Z",\
            "lastScrapeDuration":0,"health":"unknown","scrapeInterval":"1m30s",\
            "scrapeTimeout":"10s"}],"droppedTargets":[{"discoveredLabels":{"__address__":"h:2",\
            "__always_scrape_classic_histograms__":"false",\
            "__convert_classic_histograms_to_nhcb__":"false",\
            "__metrics_path__":"/metrics","__scheme__":"http","__scrape_interval__":"1m30s",\
            "__scrape_native_histograms__":"false",\
            "__scrape_timeout__":"10s","job":"b","zone":"z"},"scrapePool":"b"}],\
            "droppedTargetCounts":{"a":0,"b":1}}}
            """)
    let dropped = try await fixture.call("/api/v1/targets", .get, [("state", "DROPPED")])
    #expect(dropped.text.contains("\"activeTargets\":[],\"droppedTargets\":[{"))
    let active = try await fixture.call("/api/v1/targets", .get, [("state", "active")])
    #expect(active.text.hasSuffix("\"droppedTargets\":[],\"droppedTargetCounts\":null}}"))
    // The name of this machine stands for its loop-back address.
    #expect(active.text.contains("\"scrapeUrl\":\"http://localhost:9/metrics\""))
    #expect(!active.text.contains("\"globalUrl\":\"http://localhost:9/metrics\""))
    let pools = try await fixture.call("/api/v1/scrape_pools")
    #expect(pools.text.hasSuffix("\"data\":{\"scrapePools\":[\"a\",\"b\"]}}"))
    try await fixture.remove()
}

@Test func metadataOfTargetsIsWhatTheySaid() async throws {
    let fixture = try Fixture(twoJobs)
    fixture.start()
    // Sleepers: one per target.
    #expect(await eventually { fixture.clock.sleeperCount == 2 })
    fixture.clock.advance(seconds: 90)
    #expect(await eventually { fixture.sink.count == 2 && fixture.clock.sleeperCount == 2 })
    let all = try await fixture.call(
        "/api/v1/targets/metadata", .get, [("match_target", "{job=\"b\"}")])
    #expect(
        all.text == """
            {"status":"success","data":[{"target":{"instance":"h:1","job":"b","zone":"z"},\
            "metric":"a","type":"gauge","help":"text","unit":""}]}
            """)
    let one = try await fixture.call(
        "/api/v1/targets/metadata", .get, [("metric", "a"), ("limit", "1")])
    #expect(one.text.contains("\"type\":\"gauge\"") && !one.text.contains("\"metric\""))
    let none = try await fixture.call("/api/v1/targets/metadata", .get, [("metric", "b")])
    #expect(none.text.hasSuffix("\"data\":[]}"))
    let bad = try await fixture.call("/api/v1/targets/metadata", .get, [("limit", "x")])
    #expect(bad.status == 400)
    let targets = try await fixture.call("/api/v1/targets")
    #expect(targets.text.contains("\"health\":\"up\""))
    try await fixture.remove()
}

@Test func theConfigurationIsShownWithoutSecrets() async throws {
    let fixture = try Fixture(twoJobs)
    let shown = try await fixture.call("/api/v1/status/config")
    #expect(!shown.text.contains("s3cret"))
    #expect(shown.text.contains("<secret>"))
    let job = try await fixture.call("/api/v1/scrape_pools/config", .get, [("scrapePool", "a")])
    #expect(job.text.contains("job_name: a") && !job.text.contains("job_name: b"))
    let unknown = try await fixture.call(
        "/api/v1/scrape_pools/config", .get, [("scrapePool", "c")])
    #expect(unknown.status == 400)
    // Without secrets the file is shown as it stands.
    let plain = "# mine\nscrape_configs: []\n"
    try fixture.write(plain)
    try await fixture.scraping.reload()
    #expect(fixture.scraping.configuration.shownText == plain)
    try await fixture.remove()
}

@Test func flagsAreShownByName() async throws {
    let fixture = try Fixture(twoJobs) { options in
        options.enableLifecycle = true
        options.queryTimeoutSeconds = 90
    }
    let flags = try await fixture.call("/api/v1/status/flags")
    for text in [
        "\"web.enable-lifecycle\":\"true\"", "\"query.timeout\":\"1m30s\"",
        "\"web.listen-address\":\"127.0.0.1:4100\"", "\"query.max-samples\":\"50000000\"",
    ] {
        #expect(flags.text.contains(text))
    }
    try await fixture.remove()
}

@Test func aReloadIsAllOrNothing() async throws {
    let fixture = try Fixture(twoJobs) { $0.enableLifecycle = true }
    fixture.start()
    try fixture.write(
        twoJobs.replacing("job_name: a", with: "job_name: c"))
    #expect(try await fixture.call("/-/reload", .post) == (200, ""))
    #expect(fixture.scraping.scraper?.poolNames == ["b", "c"])
    let before = fixture.scraping.lastReload
    #expect(before.isSuccessful)

    fixture.clock.advance(seconds: 1)
    try fixture.write(twoJobs + "\nnonsense: 1\n")
    let refused = try await fixture.call("/-/reload", .put)
    #expect(refused.status == 500)
    #expect(refused.text.hasPrefix("failed to reload config: couldn't load configuration ("))
    #expect(refused.text.contains("field nonsense not found in the configuration"))
    #expect(fixture.scraping.scraper?.poolNames == ["b", "c"])
    #expect(!fixture.scraping.lastReload.isSuccessful)
    #expect(fixture.scraping.lastReload.atNanos == before.atNanos)

    try fixture.write(twoJobs)
    #expect(try await fixture.call("/-/reload", .post).status == 200)
    #expect(fixture.scraping.lastReload.isSuccessful)
    #expect(fixture.scraping.lastReload.atNanos > before.atNanos)
    try await fixture.remove()
}

@Test func theLifeCycleIsClosedUnlessItIsAllowed() async throws {
    let fixture = try Fixture(twoJobs)
    for path in ["/-/reload", "/-/quit"] {
        for method in [HTTPRequest.Method.post, .put] {
            let answer = try await fixture.call(path, method)
            #expect(answer == (403, "Lifecycle API is not enabled."))
        }
        let answer = try await fixture.call(path, .get)
        #expect(answer == (405, "Only POST or PUT requests allowed"))
    }
    try await fixture.remove()
}

@Test func scrapeSettingsAreReadAndTheirFaultsNamed() throws {
    let text = """
        global: {scrape_interval: 20s, extra_scrape_metrics: true}
        scrape_configs:
          - job_name: a
            scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]
            fallback_scrape_protocol: PrometheusText1.0.0
            enable_compression: false
            keep_dropped_targets: 3
            scrape_native_histograms: false
            http_headers: {X-A: {values: [v], secrets: [w]}}
            params: {module: [x, y]}
        """
    let job = try #require(try Configuration.parse(text).scrapes.first)
    #expect(job.protocols == [.text004, .openMetrics100])
    #expect(job.fallbackProtocol == .text100)
    #expect(!job.enableCompression && job.extraScrapeMetrics)
    #expect(job.keepDroppedTargets == 3)
    #expect(
        HTTPClientSettings(job.client).headers == [
            .init(name: "X-A", values: [.inline(Secret("v")), .inline(Secret("w"))])
        ])
    #expect(job.parameters == [.init("module", ["x", "y"])])

    let faults: [(line: String, error: String)] = [
        ("scrape_protocols: []", "scrape_protocols cannot be empty"),
        ("scrape_protocols: [X]", "unknown scrape protocol X, supported:"),
        ("http_headers: {Authorization: {values: [x]}}", "setting header \"Authorization\""),
        ("params: {a: x}", "params must map names to lists of texts"),
    ]
    for fault in faults {
        let text = "scrape_configs:\n  - job_name: a\n    \(fault.line)\n"
        do {
            _ = try Configuration.parse(text)
            Issue.record("accepted: \(fault.line)")
        } catch {
            #expect("\(error)".contains(fault.error), "\(error)")
        }
    }
}

@Test func limitsAndEscapingAreInheritedAsInPrometheus() throws {
    let configuration = try Configuration.parse(
        """
        global:
          sample_limit: 7
          label_limit: 8
          body_size_limit: 9KB
          metric_name_escaping_scheme: dots
        scrape_configs:
          - {job_name: a, sample_limit: 0, label_limit: 3, body_size_limit: 0}
          - {job_name: b, metric_name_validation_scheme: legacy}
          - {job_name: c, metric_name_validation_scheme: utf8}
          - {job_name: d, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: values}
        """)
    let jobs = configuration.scrapes
    // 0 says nothing.
    #expect(jobs[0].sampleLimit == 7 && jobs[0].labelLimit == 3)
    #expect(jobs[0].bodySizeLimitBytes == 9 << 10)
    #expect(jobs.map(\.escaping) == [.dots, .underscores, .allowUTF8, .values])
}

@Test func yamlIsReadAsPrometheusReadsIt() throws {
    let configuration = try Configuration.parse(
        """
        scrape_configs:
          - &first
            job_name: a
            scheme: HTTPS
            scrape_interval: 30s
            static_configs: &targets
              - targets: ["h:1"]
                labels: &labels {team: x, env: prod}
          - <<: *first
            job_name: b
            scrape_interval: 20s
          - <<: [*first, {honor_labels: true, scheme: http}]
            job_name: c
            static_configs: [{targets: ["h:2"], labels: {<<: *labels, team: y}}]
        ---
        scrape_configs: [{job_name: d, basic_auth: {username: u, password: s3cret}}]
        """)
    #expect(configuration.scrapes.map(\.jobName) == ["a", "b", "c"])
    #expect(configuration.scrapes.map(\.intervalSeconds) == [30, 20, 30])
    #expect(configuration.scrapes.allSatisfy { $0.scheme == "https" })
    #expect(configuration.scrapes[2].honorLabels)
    let labels = configuration.scrapes[2].groups.flatMap(\.labels)
    #expect(labels.sorted { $0.name < $1.name }.map(\.value) == ["prod", "y"])
    #expect(configuration.notes.contains { $0.contains("first YAML document") })
    #expect(!configuration.shownText.contains("s3cret"))
}

@Test func jobsOfOtherFilesAreShown() async throws {
    let fixture = try Fixture(twoJobs + "\nscrape_config_files: [more*.yml]\n")
    try "scrape_configs: [{job_name: more, basic_auth: {username: u, password: s3cret}}]\n"
        .write(to: fixture.directory + "/more1.yml")
    try await fixture.scraping.reload()
    let job = try await fixture.call(
        "/api/v1/scrape_pools/config", .get, [("scrapePool", "more")])
    #expect(job.text.contains("job_name: more") && !job.text.contains("s3cret"))
    try await fixture.remove()
}

@Test func changedFilesAreLoadedWhereTheOptionsAskForIt() async throws {
    let fixture = try Fixture(twoJobs + "\nscrape_config_files: [more.yml]\n") {
        $0.autoReload = true
        $0.autoReloadSeconds = 5
    }
    let watch = Task { await fixture.scraping.watchFiles() }
    func jobs() -> Int { fixture.scraping.configuration.scrapes.count }
    func pass() async { #expect(await eventually { fixture.clock.sleeperCount == 1 }) }
    await pass()
    try "scrape_configs: [{job_name: more}]\n".write(to: fixture.directory + "/more.yml")
    fixture.clock.advance(seconds: 5)
    #expect(await eventually { jobs() == 3 })
    await pass()
    try fixture.write("nonsense")
    fixture.clock.advance(seconds: 5)
    #expect(await eventually { !fixture.scraping.lastReload.isSuccessful })
    #expect(jobs() == 3)
    await pass()
    try fixture.write(twoJobs)
    fixture.clock.advance(seconds: 5)
    #expect(await eventually { jobs() == 2 })
    watch.cancel()
    await watch.value
    try await fixture.remove()
}

@Test func failedScrapesAreWrittenWhereTheJobSays() async throws {
    let fixture = try Fixture("scrape_configs: []\n")
    let log = ScrapeFailureLog(
        Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, fixture.clock)
    let file = fixture.directory + "/failures"
    for url in ["http://a", "http://b"] {
        log.add(FailedScrape(file: file, job: "j", url: url, error: "down", wallNanos: 0))
    }
    let data = try #require(FileManager.default.contents(atPath: file))
    let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 2)
    #expect(
        lines[1] == #"{"time":"1970-01-01T00:00:00Z","level":"ERROR","msg":"down","job_name":"j","#
            + #""target":"http://b"}"#)
    try await fixture.remove()
}

@Test func filesThatAreMissingAreNamed() async throws {
    let fixture = try Fixture(
        """
        rule_files: [gone.rules, "*.rules"]
        scrape_configs:
          - job_name: a
            basic_auth: {username: u, password_file: tern.yml}
            tls_config: {ca_file: ca.pem}
            http_sd_configs: [{url: "http://x", bearer_token_file: token}]
        """)
    let missing = try loadConfiguration(fixture.file).missingFiles
    #expect(missing.count == 3, "\(missing)")
    #expect(missing[0].hasPrefix("rule_files: ") && missing[1].contains("/ca.pem"))
    #expect(missing[2].hasPrefix("job a, http discovery: "))
    try await fixture.remove()
}

@Test func valuesAreReadAsPrometheusReadsThem() throws {
    func job(_ text: String) throws -> ScrapeConfiguration {
        let text = "scrape_configs: [{job_name: a, \(text)}]"
        return try #require(try Configuration.parse(text).scrapes.first)
    }
    for yes in ["y", "Y", "yes", "on", "True"] {
        #expect(try job("honor_labels: \(yes)").honorLabels, "\(yes)")
        #expect(try !job("honor_timestamps: \(yes == "y" ? "n" : "off")").honorTimestamps)
    }
    for number in ["1000", "1e3", "1_000"] {
        #expect(try job("sample_limit: \(number)").sampleLimit == 1000, "\(number)")
    }
    for bad in ["honor_labels: 1", "honor_labels: 'x'", "sample_limit: -1", "sample_limit: 1.5"] {
        #expect(throws: ConfigurationError.self, "\(bad)") { try job(bad) }
    }
    // 0 and less switch exemplars off there.
    _ = try Configuration.parse("storage: {exemplars: {max_exemplars: -1}}")
}

@Test func filesOfTargetsAreChecked() async throws {
    let fixture = try Fixture(
        """
        scrape_configs:
          - {job_name: a, file_sd_configs: [{files: ["*.sd.yml", gone.yml]}]}
        """)
    func faults() throws -> [String] { try loadConfiguration(fixture.file).faultyTargetFiles }
    try "- &x {targets: ['h:1'], labels: {a: b, c: }}\n- {<<: *x, targets: ['h:2']}\n"
        .write(to: fixture.directory + "/good.sd.yml")
    #expect(try faults() == [])
    try "- targats: ['h:1']\n".write(to: fixture.directory + "/bad.sd.yml")
    let found = try faults()
    #expect(found.count == 1 && found[0].hasPrefix("job a: ") && found[0].contains("targats"))
    try await fixture.remove()
}

@Test func secretsAreNotShown() throws {
    let text = """
        scrape_configs:
          - job_name: a
            basic_auth: {username: u, password: hunter2}
            proxy_url: http://me:hunter2@proxy:3128
            proxy_connect_header: {X-Key: [hunter2]}
            tls_config:
              cert: plain
              key: "-----BEGIN PRIVATE KEY----- hunter2"
            static_configs: [{targets: ["h:1"], labels: {key: shown}}]
        """
    let shown = try Configuration.parse(text).shownText
    #expect(!shown.contains("hunter2") && shown.contains("shown") && shown.contains("http://me:"))
}
