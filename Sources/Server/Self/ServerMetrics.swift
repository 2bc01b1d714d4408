// SPDX-License-Identifier: Apache-2.0
// What ingest, storage and scraping count, as families of `/metrics`.

import Base
import Ingest
import MetricStore
import Scrape
import Storage
import Synchronization
import Telemetry

/// Copies counters that others keep into the page.
struct ServerMetrics: Sendable {
    let pipeline: IngestPipeline
    let scraping: Scraping
    let queries: QueryService
    let forwarding: Forwarding?

    func collect(into metrics: SelfMetrics) {
        metrics.declare("tern_build_info", .gauge, "A metric with a constant 1: the version.")
        metrics.set("tern_build_info", "version=\"\(Base.version)\"", 1)
        ProcessMetrics.collect(into: metrics)
        collectIngest(into: metrics)
        collectStorage(pipeline.kernel.status, into: metrics)
        collectQueries(into: metrics)
        collectQueryMemory(into: metrics)
        collectConfiguration(into: metrics)
        RuleMetrics(rules: scraping.rules).collect(into: metrics)
        forwarding?.collect(into: metrics)
        collectLimits(into: metrics)
        if let scraper = scraping.scraper { collectScrapes(scraper, into: metrics) }
        if let discovery = scraping.discovery { collectDiscovery(discovery, into: metrics) }
    }

    private func counters(
        _ metrics: SelfMetrics, _ entries: [(name: String, help: String, value: Int)]
    ) {
        for entry in entries {
            metrics.show(entry.name, .counter, entry.help, Double(entry.value))
        }
    }

    private func collectQueryMemory(into metrics: SelfMetrics) {
        gauges(
            metrics,
            [
                (
                    "tern_query_memory_bytes", "Bytes that running queries hold.",
                    queries.budget.heldBytes
                ),
                (
                    "tern_query_memory_limit_bytes", "Bytes that all queries together may hold.",
                    queries.budget.limitBytes
                ),
            ])
    }

    private func gauges(
        _ metrics: SelfMetrics, _ entries: [(name: String, help: String, value: Int)]
    ) {
        for entry in entries {
            metrics.show(entry.name, .gauge, entry.help, Double(entry.value))
        }
    }

    private func collectIngest(into metrics: SelfMetrics) {
        let stored = "tern_ingest_items_total"
        metrics.declare(stored, .counter, "Samples, log lines and spans made durable, by signal.")
        metrics.set(stored, "signal=\"metrics\"", Double(load(pipeline.counters.samples)))
        metrics.set(stored, "signal=\"logs\"", Double(load(pipeline.counters.lines)))
        metrics.set(stored, "signal=\"traces\"", Double(load(pipeline.counters.spans)))
        let refused = "tern_ingest_items_refused_total"
        metrics.declare(
            refused, .counter, "Samples, log lines and spans refused at admission, by signal.")
        metrics.set(refused, "signal=\"metrics\"", Double(load(pipeline.counters.samplesRefused)))
        metrics.set(refused, "signal=\"logs\"", Double(load(pipeline.counters.linesRefused)))
        metrics.set(refused, "signal=\"traces\"", Double(load(pipeline.counters.spansRefused)))
        let repeated = "tern_ingest_items_duplicate_total"
        metrics.declare(
            repeated, .counter, "Log lines and spans that were stored already, by signal.")
        metrics.set(repeated, "signal=\"logs\"", Double(load(pipeline.counters.linesDuplicate)))
        metrics.set(repeated, "signal=\"traces\"", Double(load(pipeline.counters.spansDuplicate)))
        counters(
            metrics,
            [
                (
                    "tern_ingest_exemplars_total", "Exemplars made durable.",
                    load(pipeline.counters.exemplars)
                ),
                (
                    "tern_ingest_batches_refused_total",
                    "Batches that were not taken: overload, full disk, shutdown.",
                    load(pipeline.counters.refused)
                ),
            ])
    }

    private func collectStorage(_ status: KernelStatus, into metrics: SelfMetrics) {
        counters(
            metrics,
            [
                ("tern_storage_commits_total", "Batches made durable.", status.log.commits),
                (
                    "tern_storage_log_written_bytes_total", "Bytes written to the log.",
                    status.log.bytes
                ),
                ("tern_storage_log_syncs_total", "Syncs of the log.", status.log.syncs),
                (
                    "tern_storage_commits_refused_total", "Batches the log did not take.",
                    status.log.refusedCommits
                ),
                (
                    "tern_storage_log_segments_abandoned_total",
                    "Log segments left after a failed write or sync.", status.log.abandonedSegments
                ),
                ("tern_storage_seals_total", "Heads sealed into parts.", status.work.seals),
                ("tern_storage_seals_failed_total", "Failed seals.", status.work.failedSeals),
                ("tern_storage_merges_total", "Merges of parts.", status.work.merges),
                ("tern_storage_merges_failed_total", "Failed merges.", status.work.failedMerges),
                (
                    "tern_storage_merged_bytes_total", "Bytes of parts written by merges.",
                    status.work.bytesMerged
                ),
                (
                    "tern_storage_parts_expired_total", "Parts dropped by retention.",
                    status.work.partsExpired
                ),
                (
                    "tern_storage_downsampled_parts_total",
                    "Parts rewritten with buckets in place of samples.",
                    status.work.partsDownsampled
                ),
                (
                    "tern_storage_deletions_total", "Deletions that covered something.",
                    status.work.deletions
                ),
            ])
        metrics.show(
            "tern_storage_log_sync_seconds_total", .counter,
            "Seconds spent writing and syncing the log.", Double(status.log.syncNanos) / 1e9)
        gauges(
            metrics,
            [
                ("tern_storage_head_bytes", "Bytes held by heads.", pipeline.headBytes),
                ("tern_storage_log_bytes", "Bytes of the log.", status.logBytes),
                ("tern_storage_log_segments", "Segments of the log.", status.segmentCount),
                (
                    "tern_storage_writable", "1 while writes are taken, 0 while they are refused.",
                    status.writable ? 1 : 0
                ),
                (
                    "tern_storage_faults", "Pieces of damaged data found since the start.",
                    status.faults.count
                ),
            ])
        metrics.show(
            "tern_storage_replay_seconds", .gauge, "Seconds the last start spent replaying.",
            Double(status.replay.nanos) / 1e9)
        metrics.show(
            "tern_storage_replay_estimate_seconds", .gauge,
            "Seconds of one core that replaying what is not in parts would take.",
            status.replaySeconds)
        let held = pipeline.metrics.statistics
        gauges(
            metrics,
            [
                (
                    "tern_metrics_part_series",
                    "Series of metric parts; one that is in several parts counts in each.",
                    held.partSeries
                ),
                (
                    "tern_metrics_part_index_bytes",
                    "Bytes of metric parts that are not samples: labels, postings, tables.",
                    held.partIndexBytes
                ),
            ])
        metrics.declare("tern_storage_parts", .gauge, "Parts by signal.")
        metrics.declare("tern_storage_part_bytes", .gauge, "Bytes of parts by signal.")
        metrics.declare("tern_storage_part_rows", .gauge, "Rows of parts by signal.")
        for (signal, totals) in status.parts {
            let labels = "signal=\"\(signal.name)\""
            metrics.set("tern_storage_parts", labels, Double(totals.count))
            metrics.set("tern_storage_part_bytes", labels, Double(totals.bytes))
            metrics.set("tern_storage_part_rows", labels, Double(totals.rows))
        }
    }

    private func collectLimits(into metrics: SelfMetrics) {
        let active = "tern_tenant_series_active"
        metrics.declare(
            active, .gauge, "Series of tenants with limits, of this and the last clock hour.")
        for (tenant, count) in pipeline.limiter.activeSeries.prefix(1000) {
            metrics.set(active, "tenant=\(quotedText(tenant))", Double(count))
        }
        let series = "tern_ingest_limited_series_total"
        let samples = "tern_ingest_limited_samples_total"
        metrics.declare(
            series, .counter,
            "New series refused for a limit, counted each time they come, by tenant and limit.")
        metrics.declare(
            samples, .counter, "Samples refused for a limit, by tenant and limit.")
        for (tenant, reason, refused) in pipeline.limiter.refused {
            let labels = "tenant=\(quotedText(tenant)),reason=\"\(reason.rawValue)\""
            metrics.set(series, labels, Double(refused.series))
            metrics.set(samples, labels, Double(refused.samples))
        }
    }

    private func collectQueries(into metrics: SelfMetrics) {
        gauges(
            metrics,
            [
                (
                    "tern_query_active", "Queries that run now.", queries.active?.current.count ?? 0
                ),
                ("tern_query_waiting", "Queries that wait for a place.", queries.gate.waiting),
            ])
        counters(
            metrics,
            [
                (
                    "tern_query_active_log_failures_total",
                    "Failures to record queries under way.", queries.active?.failures ?? 0
                ),
                (
                    "tern_query_log_failures_total", "Failures to write the query log.",
                    queries.queryLog?.failures ?? 0
                ),
            ])
    }

    /// Under Prometheus' names too: existing alerts on a broken configuration go on working.
    private func collectConfiguration(into metrics: SelfMetrics) {
        let reload = scraping.lastReload
        for prefix in ["tern", "prometheus"] {
            metrics.show(
                prefix + "_config_last_reload_successful", .gauge,
                "Whether the last configuration reload attempt was successful.",
                reload.isSuccessful ? 1 : 0)
            metrics.show(
                prefix + "_config_last_reload_success_timestamp_seconds", .gauge,
                "Timestamp of the last successful configuration reload.",
                Double(reload.atNanos / 1_000_000) / 1000)
        }
    }

    private func collectScrapes(_ scraper: Scraper, into metrics: SelfMetrics) {
        let c = scraper.environment.counters
        counters(
            metrics,
            [
                ("tern_scrapes_total", "Scrapes that ended.", load(c.scrapes)),
                ("tern_scrapes_failed_total", "Scrapes that set up to 0.", load(c.failures)),
                ("tern_scrape_samples_total", "Samples that targets exposed.", load(c.samples)),
                (
                    "tern_scrape_stale_markers_total", "Series marked as ended.",
                    load(c.staleMarkers)
                ),
                (
                    "tern_scrape_body_bytes_total", "Bytes of answers, uncompressed.",
                    load(c.bodyBytes)
                ),
                (
                    "tern_scrape_writes_failed_total", "Scrapes that could not be stored.",
                    load(c.failedWrites)
                ),
                (
                    "tern_scrape_sample_limit_exceeded_total",
                    "Scrapes rejected for sample_limit.", load(c.sampleLimitExceeded)
                ),
                (
                    "tern_scrape_label_limits_exceeded_total",
                    "Scrapes rejected for a limit of labels.", load(c.labelLimitExceeded)
                ),
                (
                    "tern_scrape_histogram_bucket_limit_exceeded_total",
                    "Scrapes rejected for native_histogram_bucket_limit.",
                    load(c.bucketLimitExceeded)
                ),
                (
                    "tern_scrape_body_size_limit_exceeded_total",
                    "Scrapes rejected for body_size_limit.", load(c.bodySizeLimitExceeded)
                ),
                (
                    "tern_scrape_target_limit_exceeded_total",
                    "Scrapes left out for target_limit.", load(c.targetLimitExceeded)
                ),
                (
                    "tern_scrape_samples_duplicate_total",
                    "Samples whose series stood in the same answer already.", load(c.duplicates)
                ),
                (
                    "tern_scrape_samples_refused_total",
                    "Samples refused at admission, by time or value.", load(c.refused)
                ),
            ])
        metrics.show(
            "tern_scrape_duration_seconds_total", .counter, "Seconds spent on scrapes.",
            Double(load(c.microseconds)) / 1e6)
        let name = "tern_scrape_targets"
        metrics.declare(name, .gauge, "Targets by health.")
        var byHealth: [TargetStatus.Health: Int] = [.unknown: 0, .up: 0, .down: 0]
        for target in scraper.activeTargets { byHealth[target.status.health, default: 0] += 1 }
        for (health, count) in byHealth {
            metrics.set(name, "health=\"\(health.rawValue)\"", Double(count))
        }
    }

    private func load(_ counter: borrowing Atomic<Int>) -> Int { counter.load(ordering: .relaxed) }
}
