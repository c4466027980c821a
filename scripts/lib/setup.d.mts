/** A Debian package, and a file that proves that it is there (or another one that does). */
export interface DebianPackage {
  name: string;
  proof: string;
  orProof?: string;
}

/** Installs those that are missing. Throws an error with a `hint` where it cannot. */
export function ensureDebianPackages(packages?: DebianPackage[]): void;
