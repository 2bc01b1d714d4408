// swift-tools-version:6.2
// Tern: an observability backend. `ls Sources` is the architecture; docs/architecture.md explains it.

import PackageDescription

/// One settings list for every target of ours. Warnings are errors here and stay warnings in
/// dependencies.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// The data path crosses module boundaries; without this a generic or small function called
/// across them is up to 88 times slower (docs/decisions/0002-cross-module-optimisation.md).
let optimised: [SwiftSetting] = [
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
]

/// A target below `Server`: our own code only.
func core(_ name: String, _ dependencies: [String]) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .byName(name: $0) },
        swiftSettings: strict + optimised)
}

/// The tests of one target, which may also use `TestKit`.
func tests(_ name: String, _ dependencies: [String], exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: (dependencies + ["TestKit"]).map { .byName(name: $0) },
        exclude: exclude, swiftSettings: strict)
}

func library(_ name: String, _ package: String) -> Target.Dependency {
    .product(name: name, package: package)
}

let serverLibraries: [Target.Dependency] = [
    library("Hummingbird", "hummingbird"),
    library("HummingbirdCore", "hummingbird"),
    library("HummingbirdTLS", "hummingbird"),
    library("HTTPTypes", "swift-http-types"),
    library("NIOCore", "swift-nio"),
    library("NIOPosix", "swift-nio"),
    library("NIOHTTP1", "swift-nio"),
    library("NIOWebSocket", "swift-nio"),
    library("NIOFoundationCompat", "swift-nio"),
    library("NIOSSL", "swift-nio-ssl"),
    library("NIOHTTP2", "swift-nio-http2"),
    library("NIOHTTPTypes", "swift-nio-extras"),
    library("NIOHTTPTypesHTTP1", "swift-nio-extras"),
    library("NIOHTTPCompression", "swift-nio-extras"),
    library("AsyncHTTPClient", "async-http-client"),
    library("GRPCCore", "grpc-swift-2"),
    library("GRPCNIOTransportHTTP2Posix", "grpc-swift-nio-transport"),
    library("Logging", "swift-log"),
    library("ServiceLifecycle", "swift-service-lifecycle"),
    library("UnixSignals", "swift-service-lifecycle"),
    library("Crypto", "swift-crypto"),
    library("Yams", "Yams"),
]
let shellLibraries: [Target.Dependency] = [
    library("UnixSignals", "swift-service-lifecycle"),
    library("AsyncHTTPClient", "async-http-client"),
    library("NIOCore", "swift-nio"),
    library("NIOHTTP1", "swift-nio"),
    library("NIOPosix", "swift-nio"),
    library("NIOWebSocket", "swift-nio"),
    library("NIOSSL", "swift-nio-ssl"),
]

let stores = ["MetricStore", "LogStore", "TraceStore"]
let engines = ["PromQL", "LogQL", "TraceQL"]
let below = ["Telemetry", "Base"]

var targets: [Target] = [
    .target(
        name: "CShims",
        // -O2 also in debug builds: tests decompress, match and search through these.
        cSettings: [.unsafeFlags(["-O2"])],
        cxxSettings: [.unsafeFlags(["-O2"])],
        linkerSettings: [
            .linkedLibrary("snappy"), .linkedLibrary("zstd"), .linkedLibrary("re2"),
            .linkedLibrary("deflate"), .linkedLibrary("z"), .linkedLibrary("stdc++"),
        ]),
    core("Base", ["CShims"]),
    core("Telemetry", ["Base"]),
    core("Wire", below),
    core("Storage", ["Base"]),
    core("MetricStore", ["Storage"] + below),
    core("LogStore", ["Storage"] + below),
    core("TraceStore", ["Storage"] + below),
    core("Correlation", ["Storage"] + below),
    core("PromQL", below),
    core("LogQL", ["PromQL"] + below),
    core("TraceQL", ["PromQL"] + below),
    core("Diagnosis", ["Correlation"] + below),
    core("Ingest", ["Wire", "Storage"] + stores + ["Correlation"] + below),
    core("Scrape", ["Wire", "Ingest"] + below),
    core("Rules", engines + ["Ingest"] + below),
    .target(
        name: "Server",
        dependencies: (["Scrape", "Rules", "Diagnosis", "Ingest", "Correlation", "Storage", "Wire"]
            + stores + engines + below).map { .byName(name: $0) } + serverLibraries,
        swiftSettings: strict + optimised),
    .target(
        name: "Shell",
        dependencies: (engines + below).map { .byName(name: $0) } + shellLibraries,
        swiftSettings: strict),
    .executableTarget(
        name: "tern",
        dependencies: [
            "Server", "Shell", "Scrape", "Rules", "Base",
            library("ArgumentParser", "swift-argument-parser"),
            library("UnixSignals", "swift-service-lifecycle"),
        ],
        swiftSettings: strict),
    .target(
        name: "TestKit", dependencies: ["Telemetry", "Base"], path: "Tests/TestKit",
        swiftSettings: strict),
    .target(
        name: "PromQLScripts",
        dependencies: (["PromQL", "Wire", "TestKit"] + below).map { .byName(name: $0) },
        path: "Tests/PromQLScripts", swiftSettings: strict),
    .target(
        name: "LogQLScripts",
        dependencies: (["LogQL", "PromQL", "TestKit"] + below).map { .byName(name: $0) },
        path: "Tests/LogQLScripts", swiftSettings: strict),
    .executableTarget(
        name: "lab",
        dependencies: (["Server", "Shell", "Wire", "Storage"] + stores + engines + below)
            .map { .byName(name: $0) } + ["TestKit"] + shellLibraries + [
                library("ArgumentParser", "swift-argument-parser")
            ],
        path: "Tests/Lab", swiftSettings: strict),
    .executableTarget(
        name: "enginebench",
        dependencies: (["PromQL", "MetricStore", "Storage", "TestKit"] + below)
            .map { .byName(name: $0) },
        path: "Tests/EngineBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "ingestbench",
        dependencies: (["Ingest", "Wire", "Correlation", "Storage", "TestKit"] + stores + below)
            .map { .byName(name: $0) },
        path: "Tests/IngestBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "logbench",
        dependencies: (["Ingest", "Wire", "Correlation", "Storage", "TestKit"] + stores + below)
            .map { .byName(name: $0) },
        path: "Tests/LogBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "sealbench",
        dependencies: (["LogStore", "Storage", "TestKit"] + below).map { .byName(name: $0) },
        path: "Tests/SealBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "incidentbench",
        dependencies: (["Diagnosis", "Ingest", "Wire", "Correlation", "Storage", "TestKit"]
            + stores + below).map { .byName(name: $0) },
        path: "Tests/IncidentBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "correlationbench",
        dependencies: (["Ingest", "Wire", "Correlation", "Storage", "TestKit"] + stores + below)
            .map { .byName(name: $0) },
        path: "Tests/CorrelationBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "tracebench",
        dependencies: (["Wire", "TraceStore", "Correlation", "Storage", "TestKit"] + below)
            .map { .byName(name: $0) },
        path: "Tests/TraceBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "scrapebench",
        dependencies: (["Scrape", "Ingest", "TestKit"] + below).map { .byName(name: $0) },
        path: "Tests/ScrapeBench", swiftSettings: strict + optimised),
    .executableTarget(
        name: "wirebench",
        dependencies: (["Ingest", "Wire", "TestKit"] + below).map { .byName(name: $0) },
        path: "Tests/WireBench", swiftSettings: strict + optimised),
    tests("TidyTests", []),
    tests("BaseTests", ["Base"]),
    tests("TelemetryTests", below),
    tests("WireTests", ["Wire"] + below),
    tests("StorageTests", ["Storage", "Base"]),
    tests("MetricStoreTests", ["MetricStore", "Storage"] + below),
    tests("LogStoreTests", ["LogStore", "Storage"] + below),
    tests("TraceStoreTests", ["TraceStore", "Storage"] + below),
    tests("CorrelationTests", ["Correlation", "Storage"] + below),
    tests("PromQLTests", ["PromQL", "PromQLScripts"] + below),
    tests("LogQLTests", ["LogQL", "LogQLScripts", "PromQL", "LogStore", "Storage"] + below),
    tests("TraceQLTests", ["TraceQL", "PromQL", "TraceStore", "Storage"] + below),
    tests("DiagnosisTests", ["Diagnosis", "Correlation"] + below),
    tests(
        "IngestTests",
        ["Ingest", "Wire", "Storage", "Correlation"] + stores + below),
    tests("ScrapeTests", ["Scrape", "Ingest", "Wire"] + below),
    tests("RulesTests", ["Rules", "Ingest", "PromQL"] + below),
    .testTarget(
        name: "ServerTests",
        dependencies: (["Server", "Rules", "Scrape", "Wire", "Ingest", "Storage", "TestKit"] + below)
            .map { .byName(name: $0) } + serverLibraries,
        swiftSettings: strict),
    tests("ShellTests", ["Shell"] + below),
    tests(
        "BlackBox", ["tern", "PromQLScripts", "LogQLScripts", "Wire", "Base"],
        exclude: ["Acceptance"]),
]

// TERN_ONLY=Storage,StorageTests narrows the package to those targets and what they need, so that
// one layer builds and tests in seconds, without the HTTP and gRPC libraries.
if let only = Context.environment["TERN_ONLY"], !only.isEmpty {
    var wanted = Set(only.split(separator: ",").map(String.init))
    var before = 0
    while wanted.count != before {
        before = wanted.count
        for target in targets where wanted.contains(target.name) {
            for dependency in target.dependencies {
                if case .byNameItem(let name, _) = dependency { wanted.insert(name) }
            }
        }
    }
    targets = targets.filter { wanted.contains($0.name) }
}
let needsLibraries = targets.contains {
    ["Server", "Shell", "ServerTests", "tern", "lab"].contains($0.name)
}

let package = Package(
    name: "tern",
    products: targets.contains { $0.name == "tern" }
        ? [.executable(name: "tern", targets: ["tern"])] : [],
    dependencies: !needsLibraries
        ? []
        : [
            .package(
                url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1",
                traits: []),
            .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
            .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
            .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
            .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
            .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
            .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
            .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
            .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
            .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
            .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
            .package(
                url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
            .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
            .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        ],
    targets: targets,
    cLanguageStandard: .c17,
    cxxLanguageStandard: .cxx17)
