// SPDX-License-Identifier: Apache-2.0
// What a machine's exporter reports: names, kinds, labels.

/// How the values of a series come about.
package enum SeriesKind: Sendable {
    /// Counts whole things, about `rate` per step.
    case counter(rate: Int)
    /// Counts hundredths, as CPU seconds do.
    case seconds(rate: Int)
    /// Moves around a level in whole units.
    case gauge(level: Int, swing: Int)
    /// A gauge in hundredths.
    case ratio(level: Int, swing: Int)
    /// Does not change but at a restart.
    case constant(Int)
    /// Cumulative bucket of a classic histogram that gets `rate` observations per step, of which
    /// `share` thousandths lie in this bucket or below.
    case bucket(rate: Int, share: Int)
    /// Sum of such a histogram: `mean` thousandths per observation.
    case sum(rate: Int, mean: Int)
}

/// A name with the values of the label that tells its series apart.
struct MetricFamily {
    var name: String
    var labels: [(name: String, values: [String])] = []
    var kind: SeriesKind
}

enum MetricFamilies {
    private static func numbers(_ n: Int) -> [String] { (0..<n).map(String.init) }
    private static let devices = ["nvme0n1", "nvme1n1", "sda"]
    private static let interfaces = ["eth0", "lo", "cni0", "docker0"]
    private static let mounts = ["/", "/boot", "/var/lib/data", "/run", "/tmp"]

    /// All families of a host but the histograms: about 380 series.
    static let plain: [MetricFamily] =
        processors + disks + networks + memory + kernel + process

    private static let processors: [MetricFamily] = [
        MetricFamily(
            name: "node_cpu_seconds_total",
            labels: [
                ("cpu", numbers(8)),
                ("mode", ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]),
            ], kind: .seconds(rate: 180)),
        MetricFamily(
            name: "node_cpu_guest_seconds_total",
            labels: [("cpu", numbers(8)), ("mode", ["nice", "user"])], kind: .constant(0)),
        MetricFamily(
            name: "node_softnet_processed_total", labels: [("cpu", numbers(8))],
            kind: .counter(rate: 900)),
        MetricFamily(
            name: "node_softnet_dropped_total", labels: [("cpu", numbers(8))], kind: .constant(0)),
        MetricFamily(
            name: "node_schedstat_running_seconds_total", labels: [("cpu", numbers(8))],
            kind: .seconds(rate: 700)),
        MetricFamily(
            name: "node_schedstat_timeslices_total", labels: [("cpu", numbers(8))],
            kind: .counter(rate: 4200)),
        MetricFamily(name: "node_load1", kind: .ratio(level: 180, swing: 90)),
        MetricFamily(name: "node_load5", kind: .ratio(level: 170, swing: 40)),
        MetricFamily(name: "node_load15", kind: .ratio(level: 160, swing: 15)),
    ]

    private static let disks: [MetricFamily] =
        [
            ("reads_completed_total", SeriesKind.counter(rate: 40)),
            ("reads_merged_total", .counter(rate: 3)),
            ("read_bytes_total", .counter(rate: 1 << 19)),
            ("read_time_seconds_total", .seconds(rate: 5)),
            ("writes_completed_total", .counter(rate: 310)),
            ("writes_merged_total", .counter(rate: 120)),
            ("written_bytes_total", .counter(rate: 1 << 22)),
            ("write_time_seconds_total", .seconds(rate: 60)),
            ("io_now", .gauge(level: 1, swing: 2)), ("io_time_seconds_total", .seconds(rate: 90)),
            ("io_time_weighted_seconds_total", .seconds(rate: 95)),
            ("discards_completed_total", .constant(0)), ("info", .constant(1)),
        ].map {
            MetricFamily(name: "node_disk_" + $0.0, labels: [("device", devices)], kind: $0.1)
        }
        + [
            ("avail_bytes", SeriesKind.gauge(level: 80 << 30, swing: 1 << 26)),
            ("free_bytes", .gauge(level: 90 << 30, swing: 1 << 26)),
            ("size_bytes", .constant(200 << 30)), ("files", .constant(13_107_200)),
            ("files_free", .gauge(level: 12_000_000, swing: 400)), ("readonly", .constant(0)),
        ].map {
            MetricFamily(
                name: "node_filesystem_" + $0.0,
                labels: [
                    ("device", ["/dev/nvme0n1p1"]), ("fstype", ["ext4"]), ("mountpoint", mounts),
                ],
                kind: $0.1)
        }

    private static let networks: [MetricFamily] =
        [
            ("receive_bytes_total", SeriesKind.counter(rate: 1 << 21)),
            ("receive_packets_total", .counter(rate: 2600)),
            ("receive_drop_total", .constant(0)), ("receive_errs_total", .constant(0)),
            ("receive_fifo_total", .constant(0)), ("receive_frame_total", .constant(0)),
            ("receive_multicast_total", .counter(rate: 1)),
            ("receive_compressed_total", .constant(0)),
            ("transmit_bytes_total", .counter(rate: 1 << 20)),
            ("transmit_packets_total", .counter(rate: 2100)),
            ("transmit_drop_total", .constant(0)), ("transmit_errs_total", .constant(0)),
            ("transmit_fifo_total", .constant(0)), ("transmit_colls_total", .constant(0)),
            ("transmit_carrier_total", .constant(0)), ("transmit_queue_length", .constant(1000)),
            ("mtu_bytes", .constant(1500)), ("up", .constant(1)),
        ].map {
            MetricFamily(name: "node_network_" + $0.0, labels: [("device", interfaces)], kind: $0.1)
        }

    private static let memory: [MetricFamily] =
        [
            "MemFree", "MemAvailable", "Buffers", "Cached", "Active", "Inactive", "Active_anon",
            "Inactive_anon", "Active_file", "Inactive_file", "Dirty", "Writeback", "AnonPages",
            "Mapped", "Shmem", "Slab", "SReclaimable", "SUnreclaim", "KernelStack", "PageTables",
            "Committed_AS", "VmallocUsed", "Percpu", "AnonHugePages",
        ].enumerated().map {
            MetricFamily(
                name: "node_memory_\($0.element)_bytes",
                kind: .gauge(level: 4096 * (20_000 + 37_000 * ($0.offset % 7)), swing: 4096 * 600))
        }
        + [
            "MemTotal", "SwapTotal", "SwapFree", "SwapCached", "Unevictable", "Mlocked",
            "NFS_Unstable",
            "Bounce", "WritebackTmp", "CommitLimit", "VmallocTotal", "HardwareCorrupted",
            "HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp", "Hugepagesize",
            "Hugetlb",
        ].enumerated().map {
            MetricFamily(name: "node_memory_\($0.element)_bytes", kind: .constant($0.offset << 20))
        }

    private static let kernel: [MetricFamily] =
        [
            "Tcp_ActiveOpens", "Tcp_PassiveOpens", "Tcp_InSegs", "Tcp_OutSegs", "Tcp_RetransSegs",
            "Tcp_InErrs", "Tcp_OutRsts", "Udp_InDatagrams", "Udp_OutDatagrams", "Udp_NoPorts",
            "Udp_RcvbufErrors", "Udp_SndbufErrors", "Icmp_InMsgs", "Icmp_OutMsgs", "Ip_Forwarding",
            "IpExt_InOctets", "IpExt_OutOctets", "TcpExt_ListenDrops", "TcpExt_ListenOverflows",
            "TcpExt_SyncookiesFailed", "TcpExt_TCPSynRetrans", "TcpExt_TCPTimeouts",
        ].enumerated().map {
            MetricFamily(
                name: "node_netstat_" + $0.element,
                kind: $0.offset % 3 == 2 ? .constant(0) : .counter(rate: 5 + 211 * ($0.offset % 5)))
        }
        + ["pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout", "oom_kill"]
        .enumerated().map {
            MetricFamily(
                name: "node_vmstat_" + $0.element,
                kind: $0.offset > 3 ? .constant(0) : .counter(rate: 7000))
        }
        + [
            MetricFamily(name: "node_context_switches_total", kind: .counter(rate: 91_000)),
            MetricFamily(name: "node_intr_total", kind: .counter(rate: 55_000)),
            MetricFamily(name: "node_forks_total", kind: .counter(rate: 120)),
            MetricFamily(name: "node_procs_running", kind: .gauge(level: 2, swing: 3)),
            MetricFamily(name: "node_procs_blocked", kind: .gauge(level: 0, swing: 1)),
            MetricFamily(name: "node_boot_time_seconds", kind: .constant(1_760_000_000)),
            MetricFamily(name: "node_filefd_allocated", kind: .gauge(level: 3200, swing: 64)),
            MetricFamily(name: "node_filefd_maximum", kind: .constant(9_223_372)),
            MetricFamily(
                name: "node_pressure_cpu_waiting_seconds_total", kind: .seconds(rate: 12)),
            MetricFamily(name: "node_pressure_io_waiting_seconds_total", kind: .seconds(rate: 6)),
            MetricFamily(
                name: "node_pressure_memory_waiting_seconds_total", kind: .seconds(rate: 0)),
            MetricFamily(name: "node_entropy_available_bits", kind: .constant(256)),
        ]
        + ["TCP_inuse", "TCP_tw", "TCP_alloc", "UDP_inuse", "sockets_used"].map {
            MetricFamily(name: "node_sockstat_" + $0, kind: .gauge(level: 140, swing: 25))
        }

    private static let process: [MetricFamily] = [
        MetricFamily(name: "process_cpu_seconds_total", kind: .seconds(rate: 3)),
        MetricFamily(
            name: "process_resident_memory_bytes",
            kind: .gauge(level: 4096 * 6000, swing: 4096 * 90)
        ),
        MetricFamily(name: "process_open_fds", kind: .gauge(level: 11, swing: 3)),
        MetricFamily(name: "process_start_time_seconds", kind: .constant(1_760_000_100)),
        MetricFamily(name: "go_goroutines", kind: .gauge(level: 9, swing: 3)),
        MetricFamily(
            name: "go_memstats_alloc_bytes", kind: .gauge(level: 3_400_000, swing: 900_000)),
        MetricFamily(name: "go_memstats_mallocs_total", kind: .counter(rate: 31_000)),
        MetricFamily(name: "go_gc_cycles_total", kind: .counter(rate: 1)),
        MetricFamily(
            name: "node_scrape_collector_success",
            labels: [("collector", collectors)], kind: .constant(1)),
        MetricFamily(
            name: "node_scrape_collector_duration_seconds",
            labels: [("collector", collectors)], kind: .ratio(level: 40, swing: 30)),
    ]
    private static let collectors = [
        "cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "netdev", "netstat",
        "pressure", "schedstat", "sockstat", "softnet", "stat", "time", "uname", "vmstat",
    ]

    /// Upper bounds of the histogram's buckets, and how many thousandths lie below each.
    static let bounds: [(le: String, share: Int)] = [
        ("0.005", 210), ("0.01", 480), ("0.025", 700), ("0.05", 820), ("0.1", 900), ("0.25", 955),
        ("0.5", 980), ("1", 991), ("2.5", 997), ("5", 999), ("10", 1000), ("+Inf", 1000),
    ]
    /// Handlers that have a histogram of durations.
    static let handlers: [(name: String, rate: Int)] = [
        ("/metrics", 1), ("/api/products", 61), ("/api/checkout", 4),
    ]
}
