//! `sqlx::migrate!` embeds the folder, but cargo does not know that it does.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
