"""Known vulnerabilities of the packages of a lock file, by pip-audit.

Exit status 1 where there are some; where the advisories of not a single package could be read, it
says that the audit was skipped, and ends with 0.
"""
import json
import subprocess
import sys

MINUTES = 3


def main(lock: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes",
               "--requirement", lock, "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return skipped(f"no answer in {MINUTES} minutes")
    except ValueError:
        return skipped((done.stderr.strip().splitlines() or ["no answer"])[-1])
    read = [package for package in packages if "skip_reason" not in package]
    if not read:
        return skipped("the advisories of none of the packages could be read")
    found = [(package, entry) for package in read for entry in package["vulns"]]
    for package, entry in found:
        fixed = ", ".join(entry["fix_versions"]) or "no version yet"
        print(f"audit: {package['name']} {package['version']}: {entry['id']}, mended in {fixed}")
    print(f"audit: {len(read)} of {len(packages)} packages, {len(found)} known vulnerabilities")
    return 1 if found else 0


def skipped(reason: str) -> int:
    print(f"audit: skipped, {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
