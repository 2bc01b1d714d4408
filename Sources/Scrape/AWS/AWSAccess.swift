// SPDX-License-Identifier: Apache-2.0
// Where keys and region come from, and calls with them.

import Base
import Synchronization

/// The account of an `ec2_sd_configs` entry. Source of the order: docs.aws.amazon.com, "Standardized
/// credential providers" of the SDKs: the settings, a named profile, the environment, a web
/// identity, the default profile, the container, the instance.
final class AWSAccess: Sendable {
    private struct Cached: Sendable {
        var keys: AWSKeys
        var untilNanos: Int64
    }

    private let settings: EC2DiscoverySettings
    private let client: ClientOptions
    private let cached = Mutex<Cached?>(nil)
    private let knownRegion = Mutex<String?>(nil)
    /// Seconds for which temporary keys are used; they last an hour at least.
    private static let keptSeconds = 900.0

    init(_ settings: EC2DiscoverySettings, _ client: ClientOptions) {
        self.settings = settings
        self.client = client
    }

    /// Asks for the keys anew next time: they were refused.
    func forget() { cached.withLock { $0 = nil } }

    // MARK: calls

    /// Calls an action of a service and returns its answer.
    ///
    /// - Throws: `AWSRefusal` when the service refuses.
    func call(
        service: String, endpoint: String, _ fields: [NamedText],
        _ environment: DiscoveryEnvironment
    ) async throws -> XMLTree {
        let region = try await region(environment)
        let keys = try await keys(region, environment)
        return try await call(
            service: service, endpoint: endpoint, fields, region, keys, environment)
    }

    private func call(
        service: String, endpoint: String, _ fields: [NamedText], _ region: String,
        _ keys: AWSKeys?, _ environment: DiscoveryEnvironment
    ) async throws -> XMLTree {
        let ending = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let base = endpoint.isEmpty ? "https://\(service).\(region).\(ending)" : endpoint
        let address = WebAddress(base.contains("://") ? base : "https://" + base)
        let path = address.path.isEmpty ? "/" : address.path
        let body = Array(formText(fields).utf8)
        var request = DiscoveryRequest(
            url: "\(address.scheme)://\(address.host)\(path)", timeoutSeconds: 60, client: client)
        request.method = "POST"
        request.body = body
        if let keys {
            let signer = AWSSigner(
                keys: keys, region: region, service: service, digest: environment.digest)
            request.headers = signer.headers(
                host: address.host, path: path, body: body,
                seconds: environment.clock.wallNanos / 1_000_000_000)
        } else {
            request.headers = [NamedText("Content-Type", "application/x-www-form-urlencoded")]
        }
        request.headers.append(NamedText("User-Agent", environment.userAgent))
        let answer = try await environment.fetcher.fetch(request)
        if answer.status == 200 { return try XMLTree(answer.body) }
        guard let tree = try? XMLTree(answer.body) else {
            throw DiscoveryError("\(service) returned HTTP status \(answer.statusText)")
        }
        // EC2 wraps its errors once more than the other services.
        let error = tree["Errors"].children.isEmpty ? tree["Error"] : tree["Errors"]["Error"]
        throw AWSRefusal(code: error["Code"].text, message: error["Message"].text)
    }

    // MARK: region

    func region(_ environment: DiscoveryEnvironment) async throws -> String {
        if !settings.region.isEmpty { return settings.region }
        if let known = knownRegion.withLock({ $0 }) { return known }
        let region = try await findRegion(environment)
        knownRegion.withLock { $0 = region }
        return region
    }

    private func findRegion(_ environment: DiscoveryEnvironment) async throws -> String {
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if let region = environment.variable(name), !region.isEmpty { return region }
        }
        let profile = profileName(environment)
        let section = profile == "default" ? profile : "profile " + profile
        let file = try await profileFile("AWS_CONFIG_FILE", ".aws/config", environment)
        if let region = file[section]?["region"], !region.isEmpty { return region }
        let region: String
        do {
            region = try await instanceText("/latest/meta-data/placement/region", environment)
        } catch { throw DiscoveryError("could not determine AWS region: \(error)") }
        if region.isEmpty { throw DiscoveryError("could not determine AWS region") }
        return region
    }

    // MARK: keys

    private func keys(_ region: String, _ environment: DiscoveryEnvironment) async throws -> AWSKeys
    {
        let now = environment.clock.monotonicNanos
        if let known = cached.withLock({ $0 }), now < known.untilNanos { return known.keys }
        var keys = try await baseKeys(region, environment)
        if !settings.roleARN.isEmpty {
            var fields = [
                NamedText("Action", "AssumeRole"), NamedText("Version", "2011-06-15"),
                NamedText("RoleArn", settings.roleARN), NamedText("RoleSessionName", "tern"),
            ]
            if !settings.externalID.isEmpty {
                fields.append(NamedText("ExternalId", settings.externalID))
            }
            let answer = try await call(
                service: "sts", endpoint: "", fields, region, keys, environment)
            keys = try temporary(answer["AssumeRoleResult"])
        }
        let fresh = Cached(
            keys: keys, untilNanos: now &+ Int64(Self.keptSeconds * 1e9))
        cached.withLock { $0 = fresh }
        return keys
    }

    private func temporary(_ result: XMLTree) throws -> AWSKeys {
        let tree = result["Credentials"]
        guard let access = tree["AccessKeyId"].nonEmpty,
            let secret = tree["SecretAccessKey"].nonEmpty
        else { throw DiscoveryError("sts returned no credentials") }
        return AWSKeys(access: access, secret: secret, token: tree["SessionToken"].text)
    }

    private func baseKeys(
        _ region: String, _ environment: DiscoveryEnvironment
    ) async throws -> AWSKeys {
        if !settings.accessKey.isEmpty, !settings.secretKey.isEmpty {
            return AWSKeys(access: settings.accessKey, secret: settings.secretKey)
        }
        if !settings.profile.isEmpty {
            guard let keys = try await profileKeys(environment) else {
                throw DiscoveryError("no keys in the AWS profile \(quotedText(settings.profile))")
            }
            return keys
        }
        let variable = environment.variable
        if let access = variable("AWS_ACCESS_KEY_ID"), !access.isEmpty,
            let secret = variable("AWS_SECRET_ACCESS_KEY"), !secret.isEmpty
        {
            return AWSKeys(
                access: access, secret: secret, token: variable("AWS_SESSION_TOKEN") ?? "")
        }
        if let file = variable("AWS_WEB_IDENTITY_TOKEN_FILE"), !file.isEmpty,
            let role = variable("AWS_ROLE_ARN"), !role.isEmpty
        {
            let fields = [
                NamedText("Action", "AssumeRoleWithWebIdentity"),
                NamedText("Version", "2011-06-15"), NamedText("RoleArn", role),
                NamedText("RoleSessionName", variable("AWS_ROLE_SESSION_NAME") ?? "tern"),
                NamedText("WebIdentityToken", trimmedText(try await environment.read(file))),
            ]
            let answer = try await call(
                service: "sts", endpoint: "", fields, region, nil, environment)
            return try temporary(answer["AssumeRoleWithWebIdentityResult"])
        }
        if let keys = try await profileKeys(environment) { return keys }
        if let path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), !path.isEmpty {
            return try keys(
                JSONTree(
                    try await metadata("http://169.254.170.2" + path, "GET", [], environment)))
        }
        return try await instanceKeys(environment)
    }

    private func keys(_ tree: JSONTree) throws -> AWSKeys {
        let access = tree["AccessKeyId"].text
        let secret = tree["SecretAccessKey"].text
        guard !access.isEmpty, !secret.isEmpty else {
            throw DiscoveryError("the metadata service returned no credentials")
        }
        return AWSKeys(access: access, secret: secret, token: tree["Token"].text)
    }

    // MARK: files

    private func profileName(_ environment: DiscoveryEnvironment) -> String {
        if !settings.profile.isEmpty { return settings.profile }
        return environment.variable("AWS_PROFILE").flatMap { $0.isEmpty ? nil : $0 } ?? "default"
    }

    private func profileKeys(_ environment: DiscoveryEnvironment) async throws -> AWSKeys? {
        let file = try await profileFile(
            "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", environment)
        guard let section = file[profileName(environment)],
            let access = section["aws_access_key_id"],
            let secret = section["aws_secret_access_key"]
        else { return nil }
        return AWSKeys(access: access, secret: secret, token: section["aws_session_token"] ?? "")
    }

    /// Sections of an ini file; none when there is no such file.
    private func profileFile(
        _ variable: String, _ name: String, _ environment: DiscoveryEnvironment
    ) async throws -> [String: [String: String]] {
        let home = environment.variable("HOME") ?? ""
        let path = environment.variable(variable) ?? (home.isEmpty ? "" : home + "/" + name)
        guard !path.isEmpty else { return [:] }
        let exists = try await environment.files.run { FileStamp(path: path) != nil }
        guard exists else { return [:] }
        return iniSections(String(decoding: try await environment.read(path), as: UTF8.self))
    }

    // MARK: the instance

    /// Source: docs.aws.amazon.com, "Use the Instance Metadata Service", version 2.
    private func instanceText(
        _ path: String, _ environment: DiscoveryEnvironment
    ) async throws -> String {
        if environment.variable("AWS_EC2_METADATA_DISABLED")?.lowercased() == "true" {
            throw DiscoveryError("the instance metadata service is disabled")
        }
        let base =
            environment.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
        let token = try await metadata(
            base + "/latest/api/token", "PUT",
            [NamedText("X-aws-ec2-metadata-token-ttl-seconds", "21600")], environment)
        let answer = try await metadata(
            base + path, "GET", [NamedText("X-aws-ec2-metadata-token", trimmedText(token))],
            environment)
        return trimmedText(answer)
    }

    private func instanceKeys(_ environment: DiscoveryEnvironment) async throws -> AWSKeys {
        let path = "/latest/meta-data/iam/security-credentials/"
        do {
            let role = try await instanceText(path, environment)
            let text = try await instanceText(path + role, environment)
            return try keys(JSONTree(Array(text.utf8)))
        } catch {
            throw DiscoveryError(
                "no AWS credentials in the settings, the environment, a profile or the instance: "
                    + "\(error)")
        }
    }

    private func metadata(
        _ url: String, _ method: String, _ headers: [NamedText], _ environment: DiscoveryEnvironment
    ) async throws -> [UInt8] {
        var request = DiscoveryRequest(url: url, timeoutSeconds: 5)
        request.method = method
        request.headers = headers
        let answer = try await environment.fetcher.fetch(request)
        guard answer.status == 200 else {
            throw DiscoveryError("metadata service returned HTTP status \(answer.statusText)")
        }
        return answer.body
    }
}

/// A refusal by a service of AWS.
struct AWSRefusal: Error, Equatable, CustomStringConvertible {
    var code: String
    var message: String
    var description: String { "\(code): \(message)" }
}

/// `[section]` and `name = value` lines; comments begin with `#` or `;`.
func iniSections(_ text: String) -> [String: [String: String]] {
    var result: [String: [String: String]] = [:]
    var section = ""
    for line in text.split(whereSeparator: \.isNewline) {
        let line = trimmedText(Array(line.utf8))
        if line.hasPrefix("#") || line.hasPrefix(";") { continue }
        if line.hasPrefix("["), line.hasSuffix("]") {
            section = trimmedText(Array(line.dropFirst().dropLast().utf8))
        } else if let mark = line.firstIndex(of: "=") {
            let name = trimmedText(Array(line[..<mark].utf8))
            let value = trimmedText(Array(line[mark...].dropFirst().utf8))
            result[section, default: [:]][name] = value
        }
    }
    return result
}
